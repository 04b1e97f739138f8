// Reads what writer.h wrote. Takes any bytes: what is wrong is one line that names the line and the
// section, never a crash and never half a trace.
#pragma once

#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "traces/trace.h"

namespace traces {

[[nodiscard]] tl::expected<Trace, std::string> read_trace(std::string_view bytes);

}   // namespace traces
