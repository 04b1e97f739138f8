// Something that `wavetank list` shows.
#pragma once

#include <string>

namespace program {

struct NamedThing {
  std::string name;
  std::string description;
};

}   // namespace program
