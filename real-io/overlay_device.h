// A device over another one of which not one byte changes: what is written stays in memory, sector
// by sector, and goes with this object. For trying out what may have to be refused.
//
// Only written sectors take memory, in pages of 4 KiB. Durability means nothing here: flushes end
// at once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "engine/env/block_device.h"

namespace real_io {

class OverlayDevice final : public engine::BlockDevice {
 public:
  // drop: what is written is forgotten, and reads see the device below. For who writes and never
  // looks at it again, however much that may be.
  enum class Writes : bool { drop, keep };

  // As long as the device below, or `sectors_min`, whole logical blocks: what is beyond the end of
  // that one reads as zeroes until it is written. `below` outlives this.
  OverlayDevice(engine::BlockDevice& below, Writes writes, std::uint64_t sectors_min = 0);
  // Every bio has ended.
  ~OverlayDevice() override;

  [[nodiscard]] engine::DeviceLimits limits() const noexcept override;

 protected:
  void do_submit(engine::Bio& bio) override;

 private:
  static constexpr std::uint64_t kPageSectors = 8;
  struct Page {
    std::array<std::byte, kPageSectors * engine::kSectorSize> bytes{};
    std::uint8_t written = 0;   // a bit for each sector
  };
  struct Lookup;

  void read(engine::Bio& bio);
  void keep(const engine::Bio& bio);
  // Copies what was written of the range to `data`. False: not all of it was.
  bool lay_over(std::uint64_t begin, std::uint64_t sectors, std::byte* data);

  engine::BlockDevice& below_;
  const Writes writes_;
  const std::uint64_t sectors_min_;
  std::mutex mutex_;   // held for copies in memory alone
  std::unordered_map<std::uint64_t, std::unique_ptr<Page>> pages_;   // guarded by mutex_
};

}   // namespace real_io
