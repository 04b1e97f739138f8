#include "sim/finding_folder.h"

#include <cctype>
#include <fstream>
#include <iterator>
#include <utility>
#include <vector>

#include <unistd.h>

#include <fmt/format.h>

#include "traces/circle.h"
#include "traces/html.h"
#include "traces/reader.h"
#include "traces/story.h"
#include "traces/svg.h"
#include "traces/writer.h"

namespace sim {
namespace {
namespace fs = std::filesystem;
constexpr std::size_t kFolderNameMax = 60;
}   // namespace

std::string folder_name(const traces::Trace& trace) {
  // A mutant may be anyone's patch, named by its path.
  std::string name = trace.mutant.empty() ? "" : fs::path{trace.mutant}.stem().string() + "-";
  // Places outside of this tree are known by their last part.
  const std::string place = trace.defect.place.starts_with('/')
                                ? fs::path{trace.defect.place}.filename().string()
                                : trace.defect.place;
  for (const char each : trace.defect.kind + " " + place) {
    const auto letter = static_cast<unsigned char>(each);
    if (std::isalnum(letter) != 0) {
      name += static_cast<char>(std::tolower(letter));
    } else if (!name.empty() && name.back() != '-') {
      name += '-';
    }
    if (name.size() >= kFolderNameMax) break;
  }
  while (!name.empty() && name.back() == '-')
    name.pop_back();
  return name;
}

std::string why_unusable(const fs::path& folder) {
  std::error_code failed;
  fs::path there = fs::absolute(folder, failed);
  while (!failed && !fs::exists(there, failed) && there.has_relative_path())
    there = there.parent_path();
  if (failed) return fmt::format("{}: {}", folder.string(), failed.message());
  if (!fs::is_directory(there, failed))
    return fmt::format("{}: {} is no folder", folder.string(), there.string());
  if (access(there.c_str(), W_OK | X_OK) != 0)
    return fmt::format("{}: nothing can be written in {}", folder.string(), there.string());
  return {};
}

tl::expected<void, std::string> write_file(const fs::path& path, const std::string& bytes) {
  std::ofstream file{path, std::ios::binary | std::ios::trunc};
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) return tl::unexpected(fmt::format("{}: cannot be written", path.string()));
  return {};
}

tl::expected<void, std::string> write_finding(const fs::path& folder, const traces::Trace& trace,
                                              const std::string& replay_command) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) return tl::unexpected(fmt::format("{}: {}", folder.string(), failed.message()));
  std::vector<std::pair<const char*, std::string>> files{
      {kTraceFile, traces::write_trace(trace)},
      {"story.txt", traces::render_story(trace, replay_command)},
      {"picture.svg", traces::render_svg(trace)},
      {"timeline.html", traces::render_html(trace)},
  };
  if (traces::has_circle(trace)) {
    // The other picture shows it too, so a machine without Graphviz' plug-ins loses little.
    if (auto circle = traces::render_circle(trace)) files.emplace_back("circle.svg", *circle);
  }
  if (!trace.workload.empty()) files.emplace_back("workload.toml", trace.workload);
  for (const auto& [name, bytes] : files) {
    auto written = write_file(folder / name, bytes);
    if (!written) return written;
  }
  return {};
}

tl::expected<traces::Trace, std::string> load_trace(fs::path path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) path /= kTraceFile;
  std::ifstream file{path, std::ios::binary};
  if (!file) return tl::unexpected(fmt::format("{}: no trace there", path.string()));
  const std::string bytes{std::istreambuf_iterator<char>{file}, std::istreambuf_iterator<char>{}};
  auto trace = traces::read_trace(bytes);
  if (!trace) return tl::unexpected(fmt::format("{}: {}", path.string(), trace.error()));
  return trace;
}

}   // namespace sim
