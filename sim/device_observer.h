// For checkers of what reaches a simulated disk: no discard in flight over a used block, no I/O
// after teardown, and the like. Calls come on whatever stack, must not suspend, and may report() to
// the execution.
#pragma once

#include <cstdint>

#include "engine/env/bio.h"

namespace sim {

class SimDevice;

struct IoRecord {
  std::uint32_t ordinal = 0;   // of its submission to this device
  engine::BioOp op = engine::BioOp::read;
  bool fua = false;
  engine::Sector sector{0};
  std::uint64_t sectors = 0;
  engine::Errc status = engine::Errc::ok;   // known from the effect on
  // The buffer of a read or write, valid until `completed` returns.
  const std::byte* data = nullptr;

  [[nodiscard]] bool overlaps(engine::Sector first, std::uint64_t count) const noexcept {
    return sector.value() < first.value() + count && first.value() < sector.value() + sectors;
  }
};

class DeviceObserver {
 public:
  virtual void submitted(const SimDevice& /*device*/, const IoRecord& /*io*/) {}
  virtual void took_effect(const SimDevice& /*device*/, const IoRecord& /*io*/) {}
  // Just before end_io.
  virtual void completed(const SimDevice& /*device*/, const IoRecord& /*io*/) {}
  virtual void power_cut(const SimDevice& /*device*/) {}

 protected:
  ~DeviceObserver() = default;
};

}   // namespace sim
