// The workloads that users name by file.
#pragma once

#include <filesystem>
#include <string>

#include <tl/expected.hpp>

#include "scenarios/workload.h"

namespace program {

// The error is one line that names the file.
[[nodiscard]] tl::expected<scenarios::Workload, std::string> load_workload(
    const std::filesystem::path& path);

}   // namespace program
