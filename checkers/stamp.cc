#include "checkers/stamp.h"

#include <cstring>

#include <fmt/format.h>

#include "engine/base/units.h"

namespace checkers {
namespace {

constexpr std::uint64_t kSectorBits = 24;   // sector number within a stamp
constexpr std::uint64_t kSectorMask = (std::uint64_t{1} << kSectorBits) - 1;
constexpr Stamp kZeroes = 0;
constexpr Stamp kAnything = ~Stamp{0};
constexpr Stamp kTorn = ~Stamp{0} - 1;

}   // namespace

Stamp stamp_of(std::uint64_t write_id, std::uint64_t sector) noexcept {
  return write_id << kSectorBits | (sector & kSectorMask);
}

void fill_stamped(std::span<std::byte> bytes, std::uint64_t write_id, std::uint64_t first_sector) {
  std::memset(bytes.data(), 0, bytes.size());
  for (std::size_t at = 0; at + engine::kSectorSize <= bytes.size(); at += engine::kSectorSize) {
    const Stamp stamp = stamp_of(write_id, first_sector + at / engine::kSectorSize);
    std::memcpy(&bytes[at], &stamp, sizeof stamp);
    std::memcpy(&bytes[at + engine::kSectorSize - sizeof stamp], &stamp, sizeof stamp);
  }
}

Stamp read_stamp(std::span<const std::byte, 512> sector) noexcept {
  Stamp head = 0;
  Stamp tail = 0;
  std::memcpy(&head, sector.data(), sizeof head);
  std::memcpy(&tail, &sector[engine::kSectorSize - sizeof tail], sizeof tail);
  return head == tail ? head : kTorn;
}

bool is_of(Stamp stamp, std::uint64_t sector) noexcept {
  return stamp != kTorn && (stamp & kSectorMask) == (sector & kSectorMask);
}

Value value_of(Stamp stamp, std::uint64_t sector) noexcept {
  if (stamp == kZeroes) return Value::zeroes;
  if (stamp == kAnything) return Value::anything;
  const std::uint64_t write_id = stamp >> kSectorBits;
  // No write has the number 0: a bare sector number is nobody's, and must not pass for zeroes.
  return is_of(stamp, sector) && write_id != 0 ? value_of_write(write_id) : Value::foreign;
}

std::string describe(Value value) {
  if (value == Value::zeroes) return "zeroes";
  if (value == Value::anything) return "anything";
  if (value == Value::foreign) return "a torn or foreign sector";
  return fmt::format("write {}", static_cast<std::uint64_t>(value));
}

std::string describe(Stamp stamp, std::uint64_t sector) {
  if (stamp == kZeroes || stamp == kAnything || stamp == kTorn)
    return describe(value_of(stamp, sector));
  const std::uint64_t write_id = stamp >> kSectorBits;
  if (is_of(stamp, sector)) return fmt::format("write {}", write_id);
  return fmt::format("{:#x} (looks like write {} of sector {})", stamp, write_id,
                     stamp & kSectorMask);
}

}   // namespace checkers
