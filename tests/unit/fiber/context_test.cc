// Blocking where it is forbidden fails in the first schedule, and both places are named.
#include <memory>

#include "engine/env/block_device.h"
#include "engine/fiber/condition.h"
#include "engine/fiber/rcu.h"
#include "engine/fiber/rw_lock.h"
#include "engine/fiber/spin_lock.h"
#include "engine/fiber/timer.h"
#include "engine/fiber/work_queue.h"
#include "sim/sim_device.h"
#include "tests/unit/fiber/under_seeds.h"

namespace fiber_test {
namespace {

using sim::Execution;
using sim::Finding;
using sim::FindingKind;

struct Blocker {
  const char* name;
  std::function<void(Execution&)> call;
};

// Every way to block, called where it would not even have to wait.
std::vector<Blocker> blockers() {
  return {
      {"Mutex::lock", [](Execution&) { engine::Mutex{"m"}.lock(); }},
      {"RwLock::lock", [](Execution&) { engine::RwLock{"rw"}.lock(); }},
      {"RwLock::lock_shared", [](Execution&) { engine::RwLock{"rw"}.lock_shared(); }},
      {"Completion::wait",
       [](Execution&) {
         engine::Completion done{"c"};
         done.signal();
         done.wait();
       }},
      {"Rcu::synchronize", [](Execution&) { engine::Rcu{"rcu"}.synchronize(); }},
      {"Timer::cancel_and_wait",
       [](Execution&) {
         engine::Timer timer{"t", [](void*) {}, nullptr};
         timer.cancel_and_wait();
       }},
      {"sleep_for", [](Execution&) { engine::sleep_for(engine::Nanos{1}); }},
      {"yield", [](Execution&) { engine::yield_now(); }},
      {"submit_and_wait",
       [](Execution& execution) {
         const auto device = std::make_unique<sim::SimDevice>(execution, "disk",
                                                              sim::SimDeviceOptions{.sectors = 8});
         static_cast<void>(flush_and_wait(*device));
       }},
  };
}

void expect_named(const Finding& finding, const char* operation, const char* where) {
  EXPECT_EQ(finding.kind, FindingKind::atomic_context) << operation;
  EXPECT_NE(finding.message.find(operation), std::string::npos) << finding.message;
  EXPECT_NE(finding.message.find(where), std::string::npos) << finding.message;
  EXPECT_NE(finding.message.find("context_test.cc:"), std::string::npos) << finding.message;
  EXPECT_NE(finding.place.find("context_test.cc:"), std::string::npos) << finding.place;
}

TEST(Context, NothingBlocksUnderASpinLock) {
  for (const Blocker& blocker : blockers()) {
    const Finding finding = must_fail([&](Execution& execution) {
      engine::SpinLock lock{"s"};
      const engine::SpinGuard guard{lock};
      blocker.call(execution);
    });
    expect_named(finding, blocker.name, "holding a spin lock entered at");
  }
}

TEST(Context, NothingBlocksInAReadSection) {
  for (const Blocker& blocker : blockers()) {
    const Finding finding = must_fail([&](Execution& execution) {
      engine::Rcu rcu{"rcu"};
      const engine::RcuSection section{rcu};
      blocker.call(execution);
    });
    expect_named(finding, blocker.name, "inside an RCU read section entered at");
  }
}

TEST(Context, NothingBlocksInACallersMap) {
  for (const Blocker& blocker : blockers()) {
    const Finding finding = must_fail([&](Execution& execution) {
      const engine::ContextScope scope{engine::ContextKind::caller};
      blocker.call(execution);
    });
    expect_named(finding, blocker.name, "in a caller's map entered at");
  }
}

TEST(Context, NothingBlocksInEndIo) {
  const Finding finding = must_fail([](Execution& execution) {
    sim::SimDevice device{execution, "disk", {.sectors = 8}};
    engine::Bio bio;
    bio.op = engine::BioOp::flush;
    bio.end_io = [](engine::Bio&) { engine::yield_now(); };
    device.submit(bio);
    engine::sleep_for(engine::Nanos{1});
  });
  EXPECT_EQ(finding.kind, FindingKind::atomic_context);
  EXPECT_NE(finding.message.find("in a completion entered at"), std::string::npos);
}

TEST(Context, NothingBlocksInATimersCallback) {
  const Finding finding = must_fail([](Execution& execution) {
    engine::Timer timer{"t", [](void*) { engine::Mutex{"m"}.lock(); }, nullptr};
    timer.arm_after(execution, engine::Nanos{1});
    engine::sleep_for(engine::Nanos{5});
    timer.cancel_and_wait();
  });
  EXPECT_EQ(finding.kind, FindingKind::atomic_context);
  EXPECT_NE(finding.message.find("in a completion entered at"), std::string::npos);
}

TEST(Context, EndsWithItsScope) {
  expect_clean([](Execution&) {
    engine::SpinLock lock{"s"};
    engine::Rcu rcu{"rcu"};
    {
      const engine::RcuSection outer{rcu};
      const engine::RcuSection inner{rcu};
      const engine::SpinGuard guard{lock};
      ENGINE_CHECK(!engine::may_block());
    }
    {
      const engine::ContextScope scope{engine::ContextKind::caller};
      ENGINE_CHECK(!engine::may_block());
    }
    ENGINE_CHECK(engine::may_block());
    engine::yield_now();
  });
}

TEST(Context, IsEachFibersOwn) {
  expect_clean([](Execution& execution) {
    engine::SpinLock lock{"s"};
    engine::Completion ended{"ended"};
    execution.spawn("other", [&] {
      ENGINE_CHECK(engine::may_block());
      ended.signal();
    });
    {
      const engine::SpinGuard guard{lock};
      engine::schedule_point(engine::OpKind::note, engine::Access::none, nullptr,
                             std::source_location::current());
    }
    ended.wait();
  });
}

TEST(Context, AFiberMustNotEndInsideASpinLock) {
  const Finding finding = must_fail([](Execution&) {
    static engine::SpinLock* const kLock = new engine::SpinLock{"s"};
    kLock->lock();
  });
  EXPECT_EQ(finding.kind, FindingKind::atomic_context);
}

}   // namespace
}   // namespace fiber_test
