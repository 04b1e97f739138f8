#include "sim/program/workload_file.h"

#include <fstream>
#include <iterator>
#include <system_error>

#include <fmt/format.h>

#include "scenarios/workload_text.h"

namespace program {

tl::expected<scenarios::Workload, std::string> load_workload(const std::filesystem::path& path) {
  // It opens like a file, and its first read throws.
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored))
    return tl::unexpected(fmt::format("{}: is a directory", path.string()));
  std::ifstream file{path};
  if (!file) return tl::unexpected(fmt::format("{}: no such file", path.string()));
  const std::string text{std::istreambuf_iterator<char>{file}, std::istreambuf_iterator<char>{}};
  auto workload = scenarios::from_toml(text);
  if (!workload) return tl::unexpected(fmt::format("{}: {}", path.string(), workload.error()));
  // What a finding shrank to may do nothing: then its trace says enough. Nothing to search, though.
  if (workload->operation_count() == 0)
    return tl::unexpected(
        fmt::format("{}: no operations: [setup] and [[actor]] have some", path.string()));
  return *std::move(workload);
}

}   // namespace program
