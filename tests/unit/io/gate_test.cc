#include "engine/io/gate.h"

#include <thread>

#include "tests/unit/io/tank.h"

namespace engine::io {
namespace {

TEST(Gate, IsClosedAtFirst) {
  Gate gate{"gate"};
  EXPECT_FALSE(gate.enter());
  gate.open();
  EXPECT_TRUE(gate.enter());
  EXPECT_EQ(gate.inside(), 1U);
  gate.leave();
  gate.close();
  EXPECT_FALSE(gate.enter());
  EXPECT_EQ(gate.inside(), 0U);
}

TEST(Gate, DrainsToNobodyAndOpensAgainUnderAllSchedules) {
  unit::for_seeds(4000, [](sim::Execution& execution, std::uint64_t) {
    Gate gate{"gate"};
    gate.open();
    unit::Note<std::uint32_t> inside{0};
    unit::Note<bool> drained{false};
    unit::Together fibers{execution};
    for (int i = 0; i < 4; ++i) {
      fibers.run("visitor", [&] {
        for (int round = 0; round < 5; ++round) {
          if (!gate.enter()) {
            yield_now();
            continue;
          }
          EXPECT_FALSE(bool{drained});
          ++inside;
          yield_now();
          EXPECT_FALSE(bool{drained});
          --inside;
          gate.leave();
        }
      });
    }
    for (int round = 0; round < 3; ++round) {
      yield_now();
      gate.close();
      gate.drain();
      drained = true;
      EXPECT_EQ(inside + 0U, 0U);
      yield_now();
      EXPECT_FALSE(gate.enter());
      drained = false;
      gate.open();
    }
    fibers.wait();
  });
}

TEST(Gate, MayBeDestroyedAsSoonAsItHasDrained) {
  unit::for_seeds(2000, [](sim::Execution& execution, std::uint64_t) {
    auto gate = std::make_unique<Gate>("gate");
    gate->open();
    unit::Together fibers{execution};
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(gate->enter());
      fibers.run("visitor", [&, inside = gate.get()] {
        yield_now();
        inside->leave();
      });
    }
    gate->close();
    gate->drain();
    gate.reset();
    fibers.wait();
  });
}

TEST(Gate, FailsWhenMoreLeaveThanEntered) {
  const auto finding = unit::finding_of([](sim::Execution&) {
    Gate gate{"gate"};
    gate.open();
    ASSERT_TRUE(gate.enter());
    gate.leave();
    gate.close();
    gate.drain();
    gate.leave();
  });
  ASSERT_TRUE(finding);
  EXPECT_EQ(finding->kind, sim::FindingKind::assertion);
}

// One thread counts in, another out; closing sees a consistent total.
TEST(Gate, CountsAcrossRealThreads) {
  Gate gate{"gate"};
  gate.open();
  std::atomic<std::uint32_t> tokens{0};
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> entered{0};
  std::thread in{[&] {
    t_thread.thread_index = 1;
    while (!stop.load()) {
      if (!gate.enter()) break;
      entered.fetch_add(1);
      tokens.fetch_add(1);
    }
  }};
  std::thread out{[&] {
    t_thread.thread_index = 2;
    for (;;) {
      std::uint32_t have = tokens.load();
      if (have != 0 && tokens.compare_exchange_strong(have, have - 1)) {
        gate.leave();
      } else if (stop.load() && tokens.load() == 0) {
        break;
      }
    }
  }};
  while (entered.load() < 50'000)
    std::this_thread::yield();
  gate.close();
  in.join();
  stop.store(true);
  out.join();
  EXPECT_EQ(gate.inside(), 0U);
}

}   // namespace
}   // namespace engine::io
