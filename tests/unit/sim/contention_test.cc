// What is known of the operations that fibers contend for, and how they came to be.
#include <functional>
#include <map>
#include <string>

#include <gtest/gtest.h>

#include "engine/fiber/atomic.h"
#include "engine/fiber/mutex.h"
#include "sim/execution.h"
#include "sim/leads.h"
#include "sim/library/thread.h"
#include "sim/library/variable.h"

namespace sim {
namespace {

using engine::Mutex;
using engine::MutexLock;

// Decides nothing, and hands on what fibers do.
class Watch final : public Strategy {
 public:
  void begin(std::uint64_t /*seed*/) override {
    contention.begin();
    reads_from.begin();
    leads.begin();
  }
  [[nodiscard]] bool wants_every_point() const override { return true; }
  std::uint32_t pick(const Choices& choices) override {
    if (choices.size() > 1) contention.fix_ordinals(engine::t_thread.next_object_id);
    if (choices.fallback >= choices.fibers.size()) return choices.fallback;
    SimFiber& fiber = *choices.fibers[choices.fallback];
    const engine::Point* const point = choices.about_to(fiber);
    if (point == nullptr) return choices.fallback;
    const Contention::EventId event = contention.happens(fiber, *point);
    if (Contention::is_event(event)) {
      const Contention::Role role = contention.role_of(event);
      const std::string what = role.writes ? " writes " : " reads ";
      events[fiber.name() + what + point->object->name] = event;
      leads.happens(fiber, event, role.reads,
                    role.reads ? reads_from.last_write(*point->object) : Contention::kNone);
    }
    reads_from.happens(event, *point);
    return choices.fallback;
  }
  std::uint32_t value(const SimFiber& /*self*/, const char* /*what*/, std::uint32_t /*count*/,
                      std::uint32_t /*one_in*/) override {
    return 0;
  }
  void end(std::uint64_t /*points*/) override {
    contention.end();
    static_cast<void>(reads_from.end());
    leads.remember(contention);
  }
  Contention contention;
  ReadsFrom reads_from{contention};
  Leads leads;
  std::map<std::string, Contention::EventId> events;   // "fiber writes object"
};

// Whether others contend for each of the events of a program of those threads.
std::map<std::string, bool> contended(const std::function<void(Threads&)>& start) {
  Watch watch;
  Execution execution{{.strategy = &watch}};
  execution.run([&] {
    Threads threads;
    start(threads);
    threads.join();
  });
  std::map<std::string, bool> all;
  for (const auto& [what, event] : watch.events) {
    all[what] = watch.contention.contended(event);
    EXPECT_EQ(watch.contention.matters(event), all[what]) << what;
  }
  return all;
}

TEST(Contention, IsTwoFibersAndAWrite) {
  Variable<int> x{"x"};
  Variable<int> y{"y"};
  Variable<int> z{"z"};
  const auto found = contended([&](Threads& threads) {
    threads.start("a", [&] {
      static_cast<void>(x.get());
      static_cast<void>(y.get());
      z.set(1);
      static_cast<void>(z.get());
    });
    threads.start("b", [&] {
      x.set(1);
      static_cast<void>(y.get());
    });
  });
  EXPECT_TRUE(found.at("a reads x"));
  EXPECT_TRUE(found.at("b writes x"));
  EXPECT_FALSE(found.at("a reads y"));   // as does b, and nobody writes
  EXPECT_FALSE(found.at("a reads z"));   // nobody else has to do with it
  EXPECT_FALSE(found.at("a writes z"));
}

TEST(Contention, OneLineByTwoFibers) {
  Variable<int> x{"x"};
  const auto found = contended([&](Threads& threads) {
    for (int i = 0; i < 2; ++i)
      threads.start("a", [&] { x.set(1); });
  });
  EXPECT_TRUE(found.at("a writes x"));
}

// What one lock protects is left to the order of its holders; a lock itself is not.
TEST(Contention, OperationsThatOneLockProtectsAreNotContendedFor) {
  Mutex mutex{"mutex"};
  Variable<int> x{"x"};
  for (const bool careless : {false, true}) {
    const auto found = contended([&](Threads& threads) {
      threads.start("a", [&] {
        const MutexLock lock{mutex};
        x.set(1);
      });
      threads.start("b", [&] {
        const MutexLock lock{mutex};
        x.set(2);
      });
      threads.start("c", [&] {
        if (careless) static_cast<void>(x.get());
      });
    });
    EXPECT_TRUE(found.at("a writes mutex"));
    EXPECT_EQ(found.at("a writes x"), careless);
    EXPECT_EQ(found.contains("c reads x"), careless);
  }
}

// One fiber reads under another lock what it wrote itself: nobody contends with either.
TEST(Contention, WhatOneFiberDoesUnderTwoLocksIsItsOwn) {
  Mutex first{"first"};
  Mutex second{"second"};
  Variable<int> x{"x"};
  const auto found = contended([&](Threads& threads) {
    threads.start("a", [&] {
      {
        const MutexLock lock{first};
        x.set(1);
      }
      const MutexLock lock{second};
      static_cast<void>(x.get());
    });
    threads.start("b", [&] {
      const MutexLock lock{first};
      static_cast<void>(x.get());
    });
  });
  EXPECT_TRUE(found.at("b writes first"));
  EXPECT_FALSE(found.at("a writes second"));
  EXPECT_FALSE(found.at("a writes x"));
  EXPECT_FALSE(found.at("a reads x"));
  EXPECT_FALSE(found.at("b reads x"));
}

TEST(Contention, WhatWasNeverSeenMayMatter) {
  const Contention contention;
  EXPECT_TRUE(contention.matters(Contention::kUnknown));
  EXPECT_FALSE(contention.matters(Contention::kNone));
}

TEST(Leads, TheReadsBeforeAnEventThatOthersContendFor) {
  Watch watch;
  Execution execution{{.strategy = &watch}};
  execution.run([&] {
    engine::Atomic<int> flag{"flag"};
    engine::Atomic<int> data{"data"};
    Threads threads;
    threads.start("set", [&] {
      flag.store(1);
      data.store(1);
    });
    threads.start("look", [&] {
      if (flag.load() == 1) static_cast<void>(data.load());
    });
    threads.join();
  });
  ASSERT_TRUE(watch.events.contains("look reads data"));
  const auto leads = watch.leads.to(watch.events["look reads data"], 0);
  ASSERT_EQ(leads.size(), 1U);
  EXPECT_EQ(leads[0].read, watch.events["look reads flag"]);
  EXPECT_EQ(leads[0].write, watch.events["set writes flag"]);
  EXPECT_TRUE(watch.leads.to(watch.events["look reads flag"], 0).empty());
}

}   // namespace
}   // namespace sim
