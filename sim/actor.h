// Who acts in an execution, under names that no address and no other run's history has a part in.
#pragma once

#include <compare>
#include <cstdint>

namespace sim {

enum class ActorKind : std::uint8_t {
  fiber,   // ordinal: of its spawning; 0 is the thread that runs the execution, 1 the body of run()
  io,      // ordinal: of its submission to `device`; also the fiber that its end_io runs on
  timer,   // ordinal: of its firing; also the fiber that its callback runs on
  step,    // ordinal: of its being offered to the execution
};

// Ordered: fibers by age, then I/Os by device and age, then timers.
class ActorId {
 public:
  static constexpr std::uint32_t kOrdinalBits = 22;
  static constexpr std::uint32_t kOrdinalMask = (1U << kOrdinalBits) - 1;
  static constexpr std::uint32_t kDevices = 256;

  constexpr ActorId() = default;
  constexpr ActorId(ActorKind kind, std::uint32_t device, std::uint32_t ordinal) noexcept
      : value_{static_cast<std::uint32_t>(kind) << 30U | (device % kDevices) << kOrdinalBits |
               (ordinal & kOrdinalMask)} {}
  static constexpr ActorId from_value(std::uint32_t value) noexcept {
    ActorId id;
    id.value_ = value;
    return id;
  }
  static constexpr ActorId fiber(std::uint32_t ordinal) noexcept {
    return ActorId{ActorKind::fiber, 0, ordinal};
  }

  [[nodiscard]] constexpr ActorKind kind() const noexcept {
    return static_cast<ActorKind>(value_ >> 30U);
  }
  [[nodiscard]] constexpr std::uint32_t device() const noexcept {
    return value_ >> kOrdinalBits & (kDevices - 1);
  }
  [[nodiscard]] constexpr std::uint32_t ordinal() const noexcept { return value_ & kOrdinalMask; }
  [[nodiscard]] constexpr std::uint32_t value() const noexcept { return value_; }
  friend constexpr auto operator<=>(ActorId, ActorId) noexcept = default;

 private:
  std::uint32_t value_ = 0;
};

}   // namespace sim
