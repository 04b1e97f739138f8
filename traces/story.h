// One run on one page of text: what was run, what was found, which decisions made the difference,
// what happened then, and how to see it again.
#pragma once

#include <string>
#include <string_view>

#include "traces/trace.h"

namespace traces {

[[nodiscard]] std::string render_story(const Trace& trace, std::string_view replay_command);

}   // namespace traces
