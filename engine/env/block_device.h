// The lower side of the engine: something that stores sectors. Implemented by real-io's io_uring
// device, by the tank's simulated disk, and by mapped devices, so that they stack. All pass
// tests/conformance/block_device_suite.h: each promise made here is a test there.
#pragma once

#include <cstdint>
#include <source_location>
#include <string_view>

#include "engine/base/result.h"
#include "engine/base/units.h"
#include "engine/env/bio.h"

namespace engine {

struct DeviceLimits {
  std::uint64_t sectors = 0;                 // capacity
  std::uint32_t logical_block_sectors = 1;   // transfers are multiples of it, and aligned to it
  std::uint64_t discard_sectors_max = 0;     // 0: no discards
  std::uint32_t discard_granularity_sectors = 0;
  std::uint64_t transfer_sectors_max = 2048;   // the longest read or write
};

class BlockDevice {
 public:
  explicit BlockDevice(const char* name) noexcept : object_{ObjectKind::device, name} {}
  virtual ~BlockDevice() = default;
  BlockDevice(const BlockDevice&) = delete;
  BlockDevice& operator=(const BlockDevice&) = delete;

  // Owns `bio` until its end_io runs: once, in completion context, possibly before submit()
  // returns, with ok, io_error (this bio only), not_supported or power_lost. Any context; never
  // blocks. The point and the event of the submission are raised here, for every device alike.
  //
  // Ok for a write means visible to later reads, not durable: until a flush that was submitted
  // after it ended has ended too, power loss may keep any subset of its sectors. Ok for a fua write
  // means durable. A discarded range reads as anything until written. write_zeroes reads as zeroes.
  // Transfers in flight together that overlap may take effect in either order.
  void submit(Bio& bio, std::source_location where = std::source_location::current());

  [[nodiscard]] virtual DeviceLimits limits() const noexcept = 0;
  [[nodiscard]] const char* name() const noexcept { return object_.name; }
  [[nodiscard]] const SyncObject& object() const noexcept { return object_; }

 protected:
  // The implementation of submit(). Bounds and alignment have been checked: a bio beyond the end is
  // the engine's mistake.
  virtual void do_submit(Bio& bio) = 0;
  // False for devices that report a bad range themselves (a mapped device may shrink under a bio).
  [[nodiscard]] virtual bool ranges_checked() const noexcept { return true; }

 private:
  SyncObject object_;
};

// Submits and waits. Suspends; worker context. Returns the bio's failure, `where` the first sector.
Result<void> submit_and_wait(BlockDevice& device, Bio& bio,
                             std::source_location where = std::source_location::current());

Result<void> flush_and_wait(BlockDevice& device,
                            std::source_location where = std::source_location::current());

}   // namespace engine
