// For tests of code written against the seam: a body run in the tank under many seeds.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "engine/base/sanitizers.h"
#include "engine/env/block_device.h"
#include "engine/fiber/completion.h"
#include "sim/execution.h"
#include "sim/rng.h"
#include "sim/sim_device.h"

namespace unit {

// A sanitizer needs only a part, and is slow.
#if WAVETANK_TSAN
inline constexpr std::uint64_t kSeedsPart = 20;
#elif WAVETANK_ASAN
inline constexpr std::uint64_t kSeedsPart = 4;
#else
inline constexpr std::uint64_t kSeedsPart = 1;
#endif

// What a test notes down, from any fiber, without ordering anything: a sanitizer neither minds it
// nor takes it for synchronisation between those it watches.
template <typename T>
class Note {
 public:
  Note(T value = T{}) noexcept : value_{value} {}   // NOLINT(google-explicit-constructor)
  operator T() const noexcept { return value_.load(std::memory_order_relaxed); }   // NOLINT
  T operator=(T value) noexcept {                                                  // NOLINT
    value_.store(value, std::memory_order_relaxed);
    return value;
  }
  T operator++() noexcept { return value_.fetch_add(1, std::memory_order_relaxed) + 1; }
  T operator--() noexcept { return value_.fetch_sub(1, std::memory_order_relaxed) - 1; }

 private:
  std::atomic<T> value_;
};

// Runs `body(execution, seed)` on a fiber under each seed; any finding fails the test.
template <typename Body>
void for_seeds(std::uint64_t seeds, Body&& body) {
  seeds = engine::div_ceil(seeds, kSeedsPart);
  sim::Execution execution;
  std::uint64_t points = 0;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    execution.reset({.seed = seed, .points_max = 2'000'000});
    const sim::Outcome& outcome = execution.run([&] { body(execution, seed); });
    ASSERT_FALSE(outcome.finding) << "seed " << seed << ": " << outcome.finding->message << '\n'
                                  << outcome.finding->detail;
    ASSERT_FALSE(testing::Test::HasFailure()) << "seed " << seed;
    points += outcome.points;
  }
  testing::Test::RecordProperty("points", std::to_string(points));
}

// The finding of one execution of `body(execution)`, which is expected to have one.
template <typename Body>
std::optional<sim::Finding> finding_of(Body&& body, std::uint64_t seed = 0) {
  sim::Execution execution{{.seed = seed, .points_max = 1'000'000}};
  return execution.run([&] { body(execution); }).finding;
}

// Fibers that are waited for together. Lives on the stack of the fiber that waits.
class Together {
 public:
  explicit Together(engine::Executor& executor) : executor_{executor} {}
  template <typename Body>
  void run(const char* name, Body&& body) {
    ended_.expect_more();
    executor_.spawn(name, [this, body = std::forward<Body>(body)] {
      body();
      ended_.signal();
    });
  }
  // Once.
  void wait() {
    ended_.signal();
    ended_.wait();
  }

 private:
  engine::Executor& executor_;
  engine::Completion ended_{"together"};   // the first signal is wait()'s own
};

}   // namespace unit
