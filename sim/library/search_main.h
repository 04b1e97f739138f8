// The command line of a program under test.
#pragma once

#include "sim/library/search.h"

namespace sim {

// `--schedules N --seed N --strategy NAMES` search; `--explore` runs every schedule that matters,
// with `--preemptions N` those with at most so many; `--replay FOLDER` runs a finding again.
// `--time S`, `--points N` and `--stack KIB` are what there may be of it all, `--out FOLDER` is
// where a finding goes: trace, story, picture, timeline. Exit codes: 0 nothing found, 1 found, 2
// usage or environment.
int search_main(int argc, char** argv, const Program& program);

}   // namespace sim
