// A trace as a file: text that a person can read, in sections, with a checksum at the end.
//
// Version 1, line by line ("\n" ends each line, the last one too):
//   wavetank trace 1
//   [facts]      one "key value" a line: world, seed, digest, failed ...
//   [workload]   the TOML as it is, every line behind "| "
//   [schedule]   the text of the decisions as it is, every line behind "| "
//   [fibers]     one JSON array a line
//   [decisions]  one JSON array a line
//   [events]     one JSON array a line; strings that come again are written once, as "=text"
//   [end] xxh64 0123456789abcdef   of every byte before this line
// A section's heading carries its number of lines, so truncation shows wherever it strikes. Equal
// traces give equal bytes.
#pragma once

#include <string>

#include "traces/trace.h"

namespace traces {

[[nodiscard]] std::string write_trace(const Trace& trace);

}   // namespace traces
