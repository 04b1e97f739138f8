#include "sim/program/mutant.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <map>

#include <fmt/format.h>

#include "scenarios/scenario.h"
#include "sim/program/subprocess.h"

// Where this program was built, and from what: set by the build.
#ifndef WAVETANK_SOURCE_DIR
#define WAVETANK_SOURCE_DIR "."
#endif
#ifndef WAVETANK_BINARY_DIR
#define WAVETANK_BINARY_DIR "."
#endif

namespace program {
namespace {

namespace fs = std::filesystem;

fs::path source_dir() {
  return WAVETANK_SOURCE_DIR;
}
fs::path binary_dir() {
  return WAVETANK_BINARY_DIR;
}

std::map<std::string, std::string> header_of(const fs::path& patch) {
  std::map<std::string, std::string> header;
  std::ifstream file{patch};
  std::string line;
  std::string key;
  while (std::getline(file, line)) {
    if (line.starts_with("diff ") || line.starts_with("--- ")) break;
    const bool goes_on = !line.empty() && std::isspace(static_cast<unsigned char>(line[0])) != 0;
    if (goes_on && !key.empty()) {
      header[key] += ' ';
      header[key] += line.substr(line.find_first_not_of(" \t"));
      continue;
    }
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    key = line.substr(0, colon);
    const std::size_t value = line.find_first_not_of(" \t", colon + 1);
    header[key] = value == std::string::npos ? "" : line.substr(value);
  }
  return header;
}

// Of a line that names a file which the patch changes, the name; else nothing.
std::string_view changed_file(std::string_view line) {
  if (!line.starts_with("+++ ") && !line.starts_with("--- ")) return {};
  std::string_view name = line.substr(4);
  name = name.substr(0, name.find_first_of(" \t\r"));
  if (name.starts_with("a/") || name.starts_with("b/")) name.remove_prefix(2);
  return name == "/dev/null" ? std::string_view{} : name;
}

// What is neither a pool's own nor a cache's lies below them, or above.
scenarios::UsedBy users_of_changes(const fs::path& patch) {
  std::ifstream file{patch};
  bool pools = false;
  bool caches = false;
  bool others = false;
  std::string line;
  while (std::getline(file, line)) {
    const std::string_view name = changed_file(line);
    if (name.empty()) continue;
    const bool of_pools = name.starts_with("engine/thin/");
    const bool of_caches = name.starts_with("engine/cache/");
    pools |= of_pools;
    caches |= of_caches;
    others |= !of_pools && !of_caches;
  }
  if (others || pools == caches) return scenarios::UsedBy::both;
  return pools ? scenarios::UsedBy::pools : scenarios::UsedBy::caches;
}

Mutant read_mutant(const fs::path& patch) {
  std::map<std::string, std::string> header = header_of(patch);
  Mutant mutant;
  mutant.name = patch.stem().string();
  mutant.id = header["Id"].empty() ? mutant.name : header["Id"];
  mutant.alias = header["Alias"];
  mutant.title = header["Title"];
  mutant.undoes = header["Undoes"];
  mutant.consequence = header["Consequence"];
  mutant.noticed_by = header["Noticed-by"];
  mutant.scenario = header["Scenario"];
  mutant.general = scenarios::general_scenarios(users_of_changes(patch));
  mutant.patch = patch;
  return mutant;
}

}   // namespace

std::vector<Mutant> list_mutants() {
  std::vector<Mutant> mutants;
  std::error_code ignored;
  for (const auto& entry :
       fs::directory_iterator{source_dir() / "scenarios" / "mutants", ignored}) {
    if (entry.path().extension() == ".patch") mutants.push_back(read_mutant(entry.path()));
  }
  std::sort(mutants.begin(), mutants.end(),
            [](const Mutant& a, const Mutant& b) { return a.name < b.name; });
  return mutants;
}

tl::expected<Mutant, std::string> find_mutant(std::string_view wanted) {
  if (wanted.ends_with(".patch")) {
    const fs::path path{wanted};
    if (!fs::is_regular_file(path)) return tl::unexpected(fmt::format("{}: no such patch", wanted));
    return read_mutant(fs::absolute(path));
  }
  std::vector<Mutant> begins;
  for (Mutant& mutant : list_mutants()) {
    if (mutant.id == wanted || mutant.name == wanted || mutant.alias == wanted) return mutant;
    if (mutant.name.starts_with(wanted)) begins.push_back(std::move(mutant));
  }
  if (begins.size() == 1) return begins.front();
  if (begins.empty())
    return tl::unexpected(fmt::format("no mutant '{}': see `wavetank list mutants`", wanted));
  std::string names;
  for (const Mutant& mutant : begins)
    names += (names.empty() ? "" : ", ") + mutant.name;
  return tl::unexpected(fmt::format("'{}' may be {}", wanted, names));
}

tl::expected<fs::path, std::string> built_mutant(const Mutant& mutant) {
  const fs::path out = binary_dir() / "mutants" / mutant.name;
  const fs::path made = out / "wavetank";
  std::error_code missing;
  const auto built = fs::last_write_time(made, missing);
  if (!missing && built >= fs::last_write_time(mutant.patch) &&
      built >= fs::last_write_time(binary_dir() / "wavetank", missing)) {
    return made;
  }
  const fs::path script = source_dir() / "scenarios" / "mutants" / "build.py";
  if (!fs::is_regular_file(script))
    return tl::unexpected(fmt::format("mutant {} is not built, and the sources are not at {}",
                                      mutant.name, source_dir().string()));
  fmt::print(stderr, "building mutant {}\n", mutant.name);
  const int status = run_program({"python3", script.string(), "--build", binary_dir().string(),
                                  "--patch", mutant.patch.string(), "--out", out.string()});
  if (status != 0) return tl::unexpected(fmt::format("mutant {} could not be built", mutant.name));
  return made;
}

}   // namespace program
