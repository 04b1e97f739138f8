// The stack family: a pool and a cache, one on the other, with linear devices under, between and
// over them.
//
//   cache_over_thin   [above] cached [between] thin 0, pool [below] data
//   pool_over_cache   [above] thin 0, pool [between] cached [below] data
//
// Each layer does and judges what it does alone; this adds what goes through several. Volume 0 of
// the oracle is what the uppermost device shows. Locks are taken from the top of the stack down.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "engine/fiber/mutex.h"
#include "scenarios/cache/volume.h"
#include "scenarios/family.h"
#include "scenarios/stack/parts.h"
#include "scenarios/thin/volumes.h"

namespace scenarios::stack {

// Parts come first: the layers refer to them.
class Stack final : private Parts, public Family {
 public:
  Stack(World& world, const Workload& workload);

  void make_volumes() override;
  void perform(const Operation& operation) override;
  void judge_at_rest() override;

 private:
  struct Linear {
    const char* name;
    bool wanted;
    std::string over;
    std::uint64_t offset;
    engine::Mutex control{"lab.linear"};
    std::atomic<bool> making{false};   // it may be found without a table
  };

  void bring_up() override;
  // From thin 0 up; the pool and its volumes are there.
  void bring_up_above();
  [[nodiscard]] Target top() const;
  void issue(const Operation& operation);
  void read_back();

  // Those that are not wanted are passed over.
  void make(Linear& linear);
  void remove(Linear& linear);
  [[nodiscard]] std::uint64_t sectors_of(const Linear& linear) const;
  void bounce(Linear& linear, bool noflush, const Control::Action& meanwhile = {});

  void bounce_all(bool noflush);
  void remake();
  [[nodiscard]] bool pool_is_full();

  [[nodiscard]] bool cache_on_top() const noexcept {
    return system_.stack.shape == StackShape::cache_over_thin;
  }
  [[nodiscard]] thin::Below below_pool() const;
  [[nodiscard]] cache::Around around_cache();

  const SystemSpec& system_;
  Linear above_;
  Linear between_;
  Linear below_;
  cache::Volume& cache_;
  thin::Volumes& thin_;
};

}   // namespace scenarios::stack
