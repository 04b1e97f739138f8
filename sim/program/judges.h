// What watches a run, by name, and what each does not cover.
#pragma once

#include <vector>

#include "sim/program/named.h"

namespace program {

[[nodiscard]] std::vector<NamedThing> list_judges();

}   // namespace program
