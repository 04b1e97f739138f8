// A trace as a file: text that a person can read, in sections, with a checksum at the end.
//
// Version 2, line by line ("\n" ends each line, the last one too):
//   wavetank trace 2
//   [run 9]        one "key value" a line
//   [finding 5]    the same; [detail N] its longer text, every line behind "| "
//   [circle N]     one edge a line, as below
//   [workload N]   the TOML as it is, every line behind "| "
//   [schedule N]   the text of the decisions as it is, every line behind "| "
//   [fibers N]     one a line: words and numbers with a blank between (words.h)
//   [decisions N]  the same
//   [events N]     the same
//   [end] xxh64 0123456789abcdef   of every byte before this line
// A heading carries its number of lines, so truncation shows wherever it strikes. Equal
// traces give equal bytes.
#pragma once

#include <string>

#include "traces/trace.h"

namespace traces {

[[nodiscard]] std::string write_trace(const Trace& trace);

}   // namespace traces
