// Numbers and names as thin's tables and messages write them.
#pragma once

#include <optional>
#include <string_view>

#include "engine/base/units.h"
#include "engine/io/words.h"
#include "engine/thin/metadata.h"

namespace engine::thin {

using io::parse_number;
using io::same_name;

[[nodiscard]] inline std::optional<ThinId> parse_thin_id(std::string_view text) noexcept {
  const auto value = parse_number(text);
  if (!value || *value > kThinIdMax) return std::nullopt;
  return ThinId{static_cast<std::uint32_t>(*value)};
}

}   // namespace engine::thin
