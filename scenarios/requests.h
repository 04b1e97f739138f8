// One request of a workload: submitted to a device, waited for, and told to the oracle before and
// after. Callable from all actors at once.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "engine/base/result.h"
#include "scenarios/bench.h"
#include "scenarios/workload.h"

namespace scenarios {

// Where requests go, and the oracle's number for what is there.
struct Target {
  std::string device;
  std::uint32_t volume = 0;
  // True while the device may be found and not be ready; errors mean nothing then. Null: never.
  const std::atomic<bool>* unready = nullptr;
  // What made the volume may not have been committed: it goes when that is aborted, and then there
  // is nothing to read.
  bool may_go = false;
};

// write, write_zeroes, read, discard or flush?
[[nodiscard]] bool is_request(Verb verb) noexcept;

class Requests {
 public:
  explicit Requests(Bench& bench) : bench_{bench} {}

  // Suspends. Nothing happens where there is no such device or the range does not fit. Without
  // faults, only a write that finds no space may fail, and with faults not everything.
  void issue(const Target& target, const Operation& operation);
  // Suspends. Reads all of the volume, so many sectors at a time. An error is no finding here
  // beyond what issue() says; wrong data is.
  void read_back(const Target& target, std::uint64_t step_sectors);
  // Has any discard been issued, to whatever device?
  [[nodiscard]] bool discarded() const noexcept {
    return discarded_.load(std::memory_order_relaxed);
  }

 private:
  // Submits, waits, and tells the oracle.
  [[nodiscard]] engine::Result<void> perform(engine::BlockDevice& device, std::uint32_t volume,
                                             const Operation& operation);
  // Could a fault be why such a request failed?
  [[nodiscard]] bool may_fail(const Operation& operation) const;
  void judge_refusal(const Operation& operation, engine::Errc code, engine::Nanos begun);
  void judge_end(const Target& target, const Operation& operation,
                 const engine::Result<void>& ended, bool excused);

  Bench& bench_;
  std::atomic<bool> discarded_{false};
};

}   // namespace scenarios
