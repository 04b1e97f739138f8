// What clients fill sectors with, and what it means when it is read back.
//
// A *stamp* names the write and the sector that it belongs to: data that lands in the wrong place
// is a stamp of another sector. A *value* is what is left of it once the sector is known: the same
// for all sectors of a write, so that they can share one history.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace checkers {

using Stamp = std::uint64_t;

// Any other number is that of a write.
enum class Value : std::uint64_t {
  zeroes = 0,                        // also what was never written reads as
  foreign = ~std::uint64_t{0} - 1,   // torn, or of another sector: seen, but left by nobody
  anything = ~std::uint64_t{0},      // "whatever": an unzeroed block's old contents
};
[[nodiscard]] constexpr Value value_of_write(std::uint64_t write_id) noexcept {
  return Value{write_id};
}

// Bytes of a stamped sector: the stamp at both ends, zeroes between. Fills whole sectors.
void fill_stamped(std::span<std::byte> bytes, std::uint64_t write_id, std::uint64_t first_sector);
// The stamp that `write_id` gives to `sector`.
[[nodiscard]] Stamp stamp_of(std::uint64_t write_id, std::uint64_t sector) noexcept;
// The stamp a sector holds; a torn one yields a stamp that no write has.
[[nodiscard]] Stamp read_stamp(std::span<const std::byte, 512> sector) noexcept;
// What `stamp` means where it was found.
[[nodiscard]] Value value_of(Stamp stamp, std::uint64_t sector) noexcept;
// Whether it belongs to `sector`, written by anybody.
[[nodiscard]] bool is_of(Stamp stamp, std::uint64_t sector) noexcept;

// For messages: "zeroes", "write 12", ...
[[nodiscard]] std::string describe(Value value);
[[nodiscard]] std::string describe(Stamp stamp, std::uint64_t sector);

}   // namespace checkers
