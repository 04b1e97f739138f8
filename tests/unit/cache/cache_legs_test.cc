// A transfer of one device fails, in every mode, while the cache may change its metadata and when
// it may not any more: who is told, and that what is read afterwards does not change by itself.
#include "tests/unit/cache/cache_tank.h"

namespace engine::cache {
namespace {

constexpr std::uint64_t kNothing = ~std::uint64_t{0};

struct Case {
  IoMode mode;
  bool read_only;
  bool sick_is_fast;
  bool dirty = false;   // the block, in writeback mode
};

std::vector<Case> all_cases() {
  std::vector<Case> all;
  for (const IoMode mode : {IoMode::writeback, IoMode::writethrough, IoMode::passthrough}) {
    for (const bool read_only : {false, true}) {
      for (const bool sick_is_fast : {false, true}) {
        all.push_back({mode, read_only, sick_is_fast, false});
        if (mode == IoMode::writeback) all.push_back({mode, read_only, sick_is_fast, true});
      }
    }
  }
  return all;
}

// Block 0 is in the cache, and block 1 where there is room to lose it; then the mode is entered.
void prepare(CacheTank& tank, const Case& each) {
  const std::string mode = fmt::format("1 {}", to_string(each.mode));
  tank.make("1 writethrough");
  EXPECT_EQ(tank.read(0), kOldData);
  EXPECT_EQ(tank.read(kBlock), kOldData + kBlock);
  EXPECT_TRUE(tank.reload(mode, "eager 2 writeback 0"));
  if (each.dirty) {
    EXPECT_EQ(tank.write(9, 1, 40), Errc::ok);
  }
  if (!each.read_only) return;
  tank.metadata.faults().rules.push_back({.ops = sim::kWrites, .nth = 1});
  if (each.mode == IoMode::passthrough) {
    EXPECT_EQ(tank.write(kBlock, 1, 1), Errc::ok);   // block 1 would have to leave
  } else {
    EXPECT_EQ(tank.read(2 * kBlock), kOldData + 2 * kBlock);   // block 2 would have to enter
  }
  tank.metadata.faults().rules.clear();
  EXPECT_TRUE(tank.status_has(" ro needs_check "));
  EXPECT_TRUE(tank.cached(0));
}

sim::SimDevice& sick(CacheTank& tank, const Case& each) {
  return each.sick_is_fast ? tank.fast : tank.origin;
}

// The devices that a transfer of a cached block goes to.
bool is_touched(const Case& each, bool write) {
  switch (each.mode) {
    case IoMode::writeback:
      return each.sick_is_fast;
    case IoMode::writethrough:
      return write || each.sick_is_fast;
    case IoMode::passthrough:
      // A block that cannot leave is kept alike on both.
      return !each.sick_is_fast || (write && each.read_only);
  }
  return false;
}

TEST(CacheLegs, AFailedWriteIsToldAndLeavesOneAnswer) {
  for (const Case& each : all_cases()) {
    for_seeds(16, [&](sim::Execution& execution, std::uint64_t) {
      SCOPED_TRACE(fmt::format("{} read_only={} fast={} dirty={}", to_string(each.mode),
                               each.read_only, each.sick_is_fast, each.dirty));
      CacheTank tank{execution};
      prepare(tank, each);
      sick(tank, each).faults().rules.push_back({.ops = sim::kWrites, .nth = 1});
      const bool fails = is_touched(each, true);
      EXPECT_EQ(tank.write(3, 4, 41), fails ? Errc::io_error : Errc::ok);
      sick(tank, each).faults().rules.clear();
      const std::uint64_t first = tank.read(4);
      EXPECT_TRUE(first == 41 || (fails && first == kOldData + 4)) << first;
      EXPECT_EQ(tank.read(1), kOldData + 1);
      EXPECT_EQ(tank.read(9), each.dirty ? 40U : kOldData + 9);
      // Whatever throws blocks out or writes them back does not change it.
      for (std::uint64_t block = 2; block < 6; ++block)
        EXPECT_EQ(tank.read(block * kBlock), kOldData + block * kBlock);
      EXPECT_EQ(tank.flush(), Errc::ok);
      EXPECT_EQ(tank.read(4), first);
      EXPECT_EQ(tank.write(4, 1, 42), Errc::ok);
      EXPECT_EQ(tank.read(4), 42U);
      if (each.read_only) return;
      EXPECT_TRUE(tank.reload("1 writeback", "cleaner 0"));
      sleep_for(std::chrono::seconds{5});
      EXPECT_EQ(tank.view().dirty_count(), 0U);
      EXPECT_EQ(CacheTank::peek(tank.origin, 4), 42U);
      EXPECT_EQ(CacheTank::peek(tank.origin, 5), tank.read(5));
      tank.expect_idle();
    });
  }
}

TEST(CacheLegs, AFailedReadIsToldAndChangesNothing) {
  for (const Case& each : all_cases()) {
    for_seeds(8, [&](sim::Execution& execution, std::uint64_t) {
      SCOPED_TRACE(fmt::format("{} read_only={} fast={} dirty={}", to_string(each.mode),
                               each.read_only, each.sick_is_fast, each.dirty));
      CacheTank tank{execution};
      prepare(tank, each);
      sick(tank, each).faults().rules.push_back({.ops = sim::kReads, .nth = 1});
      const bool fails = is_touched(each, false);
      EXPECT_EQ(tank.read(9), fails ? kNothing : each.dirty ? 40U : kOldData + 9);
      sick(tank, each).faults().rules.clear();
      EXPECT_EQ(tank.read(9), each.dirty ? 40U : kOldData + 9);
      EXPECT_EQ(tank.write(9, 1, 42), Errc::ok);
      EXPECT_EQ(tank.read(9), 42U);
      EXPECT_EQ(tank.flush(), Errc::ok);
    });
  }
}

// A flush goes to both devices, whatever the mode, and tells of either.
TEST(CacheLegs, AFailedFlushIsTold) {
  for (const Case& each : all_cases()) {
    for_seeds(4, [&](sim::Execution& execution, std::uint64_t) {
      CacheTank tank{execution};
      prepare(tank, each);
      sick(tank, each).faults().rules.push_back({.ops = sim::kFlushes, .nth = 1});
      EXPECT_EQ(tank.flush(), Errc::io_error);
      EXPECT_EQ(tank.flush(), Errc::ok);
    });
  }
}

}   // namespace
}   // namespace engine::cache
