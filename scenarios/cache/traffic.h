// What goes through a cache, as its devices see it: what came from users, and what of it went to
// the fast device. So what a cache counts can be counted once more, from outside.
//
// Not covered: what a device counts that was not ready for what came, or failed on the way; then
// trouble() says that the counts mean little.
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/fiber/event.h"
#include "engine/fiber/executor.h"

namespace scenarios::cache {

class CacheTraffic final : public engine::TraceSink {
 public:
  struct Counts {
    std::uint32_t reads = 0;   // of users, in pieces of one block
    std::uint32_t writes = 0;
    std::uint32_t fast_reads =
        0;   // of these, served by the fast device, from a block that is there
    std::uint32_t fast_writes = 0;
  };

  // What lies behind the whole blocks of an origin is never cached, and not counted.
  CacheTraffic(std::uint32_t block_sectors, std::uint64_t origin_blocks)
      : block_sectors_{block_sectors}, sectors_{block_sectors * origin_blocks} {}

  void event(const engine::Event& event) noexcept override;
  void start_over() noexcept {
    counts_ = {};
    trouble_ = false;
  }
  // When nothing is under way.
  [[nodiscard]] const Counts& counts() const noexcept { return counts_; }
  [[nodiscard]] bool trouble() const noexcept { return trouble_; }

 private:
  void submitted(std::string_view device, const engine::Event& event) noexcept;
  // Blocks that a request touches.
  [[nodiscard]] std::uint32_t pieces(std::uint64_t sector, std::uint64_t sector_end) const noexcept;

  std::uint32_t block_sectors_;
  std::uint64_t sectors_;   // of the blocks that may be cached
  Counts counts_;
  bool trouble_ = false;
};

}   // namespace scenarios::cache
