// The colours of boxes, the same in every form of the picture.
#pragma once

#include <string_view>

#include "traces/picture.h"

namespace traces {

struct Colours {
  std::string_view fill;
  std::string_view edge;
};

[[nodiscard]] Colours colours_of(BoxStyle style) noexcept;

}   // namespace traces
