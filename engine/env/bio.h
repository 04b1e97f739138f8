// One block request on its way to a device and back.
//
// A bio is owned by whoever made it until it is submitted, then by the device until end_io runs,
// once, in completion context. Completion consumes it as drivers do: `sector` and `data` have moved
// past what was transferred and `sectors` is 0, so whoever wants to submit it again must restore
// them. It lives here, below engine/io, because both worlds' devices speak it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <source_location>

#include <boost/intrusive/list_hook.hpp>

#include "engine/base/result.h"
#include "engine/base/units.h"
#include "engine/fiber/event.h"

namespace engine {

class BlockDevice;

enum class BioOp : std::uint8_t { read, write, write_zeroes, discard, flush };

[[nodiscard]] constexpr const char* to_string(BioOp op) noexcept {
  switch (op) {
    case BioOp::read:
      return "read";
    case BioOp::write:
      return "write";
    case BioOp::write_zeroes:
      return "write_zeroes";
    case BioOp::discard:
      return "discard";
    case BioOp::flush:
      return "flush";
  }
  return "?";
}

[[nodiscard]] constexpr bool changes_data(BioOp op) noexcept {
  return op == BioOp::write || op == BioOp::write_zeroes || op == BioOp::discard;
}

struct Bio {
  using EndIo = void (*)(Bio& bio);
  using Hook = boost::intrusive::list_member_hook<>;

  BioOp op = BioOp::read;
  // write and write_zeroes: ends only when durable. Other ops: false.
  bool fua = false;
  // write and write_zeroes: everything acknowledged before its submission becomes durable first.
  // Only mapped devices take it; they split it off as a flush, and plain devices never see it.
  bool preflush = false;
  // discard: from the engine itself, not from a user (statistics only).
  bool submitted = false;   // between submit() and end_io; catches double submits and double ends
  Errc status = Errc::ok;   // meaningful in end_io and after
  Sector sector{0};
  std::uint64_t sectors = 0;   // 0 for flush
  // read, write: sectors * 512 bytes, aligned to kBufferAlign, valid until end_io. Else null.
  std::byte* data = nullptr;
  EndIo end_io = nullptr;
  void* owner = nullptr;   // for end_io
  Hook hook;   // for whoever holds it: a deferred list, a cell's inmates, a device queue
  std::uint64_t driver_data = 0;   // for the device that owns it

  [[nodiscard]] Sector sector_end() const noexcept { return sector + sectors; }
  [[nodiscard]] std::size_t size_bytes() const noexcept {
    return static_cast<std::size_t>(sectors) << kSectorShift;
  }
};

inline constexpr std::size_t kBufferAlign = 4096;

// For devices: consumes the bio, sets its status and runs its end_io in completion context.
// `device` is what the event names. The bio must not be touched afterwards.
void complete(const SyncObject& device, Bio& bio, Errc status,
              std::source_location where = std::source_location::current());

}   // namespace engine
