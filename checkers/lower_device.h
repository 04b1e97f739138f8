// Rules for what reaches a data device, whatever the engine means by it:
//   - while a discard is under way, nothing that overlaps it is read or written: its block is
//     nobody's until the discard has ended;
//   - nothing is read, written or discarded while the pool above is suspended (its metadata may
//     still be committed, by a message, and that flushes).
//
// Not covered: whether a discarded block was still wanted (data_oracle sees that), and metadata
// devices.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "checkers/findings.h"
#include "engine/env/bio.h"

namespace checkers {

class LowerDevice {
 public:
  explicit LowerDevice(std::string device) : device_{std::move(device)} {}

  void submitted(engine::BioOp op, engine::Sector sector, std::uint64_t sectors,
                 Findings& findings);
  void completed(engine::BioOp op, engine::Sector sector, std::uint64_t sectors);
  // Which sectors have been discarded from now on?
  void watch_discards() { discarded_.clear(); }
  [[nodiscard]] bool was_discarded(engine::Sector begin, std::uint64_t sectors) const;
  // Until `quiet(nullptr)`: why nothing may be submitted.
  void quiet(const char* why) noexcept { quiet_ = why; }
  void power_cut() noexcept { under_way_.clear(); }

 private:
  struct UnderWay {
    engine::BioOp op;
    std::uint64_t begin;
    std::uint64_t end;
    friend bool operator==(const UnderWay&, const UnderWay&) = default;
  };
  std::string device_;
  std::vector<UnderWay> under_way_;                    // reads, writes and discards
  std::map<std::uint64_t, std::uint64_t> discarded_;   // ends by beginnings
  const char* quiet_ = nullptr;
};

}   // namespace checkers
