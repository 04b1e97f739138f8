// A finding on disk: a folder with the trace, the shrunk workload, a one-page story, the picture, a
// timeline, and the command that replays it.
#pragma once

#include <filesystem>
#include <string>

#include <tl/expected.hpp>

#include "traces/trace.h"

namespace sim {

inline constexpr const char* kTraceFile = "trace.wavetank";

// A name for the folder, made of what was found and where.
[[nodiscard]] std::string folder_name(const traces::Trace& trace);

// Why no finding could be written below that folder, which need not be there; empty: it could. To
// be asked before anybody has searched for long.
[[nodiscard]] std::string why_unusable(const std::filesystem::path& folder);

// Writes the folder, replacing what an earlier run left in it. `replay_command` is what a person
// types to run it again. The error is one line.
tl::expected<void, std::string> write_finding(const std::filesystem::path& folder,
                                              const traces::Trace& trace,
                                              const std::string& replay_command);
// Of a trace file, or of a finding's folder.
[[nodiscard]] tl::expected<traces::Trace, std::string> load_trace(std::filesystem::path path);
tl::expected<void, std::string> write_file(const std::filesystem::path& path,
                                           const std::string& bytes);

}   // namespace sim
