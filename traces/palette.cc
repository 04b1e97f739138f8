#include "traces/palette.h"

namespace traces {

Colours colours_of(BoxStyle style) noexcept {
  switch (style) {
    case BoxStyle::plain:
      return {"#ffffff", "#a9b7c4"};
    case BoxStyle::related:
      return {"#eaf3fd", "#2f6fb3"};
    case BoxStyle::effect:
      return {"#e6f4ea", "#2e7d32"};
    case BoxStyle::discard:
      return {"#f3e8fd", "#7b3fb5"};
    case BoxStyle::decision:
      return {"#fff1dc", "#e67700"};
    case BoxStyle::culprit:
    case BoxStyle::failure:
      return {"#ffe3e3", "#c62828"};
  }
  return {"#ffffff", "#000000"};
}

}   // namespace traces
