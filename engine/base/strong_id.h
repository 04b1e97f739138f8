// Opaque ordinals: two ids of different Tags never mix, an id never decays to its representation,
// and arithmetic exists only as "ordinal plus count".
#pragma once

#include <compare>
#include <concepts>
#include <cstdint>
#include <functional>
#include <type_traits>

#include <fmt/format.h>

namespace engine {

template <typename Tag, std::unsigned_integral Rep = std::uint64_t>
class StrongId {
 public:
  using rep = Rep;
  constexpr StrongId() = default;
  constexpr explicit StrongId(Rep value) noexcept : value_{value} {}
  [[nodiscard]] constexpr Rep value() const noexcept { return value_; }
  friend constexpr auto operator<=>(StrongId, StrongId) noexcept = default;
  friend constexpr StrongId operator+(StrongId id, Rep count) noexcept {
    return StrongId{static_cast<Rep>(id.value_ + count)};
  }
  friend constexpr Rep operator-(StrongId a, StrongId b) noexcept {
    return static_cast<Rep>(a.value_ - b.value_);
  }

 private:
  Rep value_{0};
};

}   // namespace engine

template <typename Tag, typename Rep>
struct std::hash<engine::StrongId<Tag, Rep>> {
  std::size_t operator()(engine::StrongId<Tag, Rep> id) const noexcept {
    return std::hash<Rep>{}(id.value());
  }
};

template <typename Tag, typename Rep>
struct fmt::formatter<engine::StrongId<Tag, Rep>> : fmt::formatter<Rep> {
  template <typename Context>
  auto format(engine::StrongId<Tag, Rep> id, Context& context) const {
    return fmt::formatter<Rep>::format(id.value(), context);
  }
};
