// Mutual exclusion, wake-ups and misuse of the locks, under many seeds.
#include <array>
#include <atomic>

#include "engine/fiber/atomic.h"
#include "engine/fiber/condition.h"
#include "engine/fiber/ref_count.h"
#include "engine/fiber/rw_lock.h"
#include "engine/fiber/spin_lock.h"
#include "tests/unit/fiber/under_seeds.h"

namespace fiber_test {
namespace {

using engine::Completion;
using engine::Mutex;
using engine::MutexLock;
using sim::Execution;
using sim::FindingKind;

// A place that only one may be in; looks at a scheduling point.
class Inside {
 public:
  void visit() {
    ENGINE_CHECK(!busy_, "two are inside");
    busy_ = true;
    engine::schedule_point(engine::OpKind::note, engine::Access::none, nullptr,
                           std::source_location::current());
    busy_ = false;
  }

 private:
  bool busy_ = false;
};

template <typename Body>
void together(Execution& execution, int count, const Body& body) {
  Completion ended{"together", static_cast<std::uint32_t>(count)};
  for (int i = 0; i < count; ++i) {
    execution.spawn("one", [&, i] {
      body(i);
      ended.signal();
    });
  }
  ended.wait();
}

TEST(Mutex, AdmitsOneAndForgetsNobody) {
  expect_clean([](Execution& execution) {
    Mutex mutex{"m"};
    Inside inside;
    together(execution, 4, [&](int) {
      for (int round = 0; round < 3; ++round) {
        const MutexLock lock{mutex};
        inside.visit();
      }
    });
    ENGINE_CHECK(mutex.owner() == nullptr);
  });
}

TEST(Mutex, TryLockNeverWaitsAndExcludesToo) {
  expect_clean([](Execution& execution) {
    Mutex mutex{"m"};
    Inside inside;
    together(execution, 4, [&](int i) {
      for (int round = 0; round < 3; ++round) {
        if (i % 2 == 0) {
          mutex.lock();
        } else if (!mutex.try_lock()) {
          continue;
        }
        inside.visit();
        mutex.unlock();
      }
    });
  });
}

TEST(Mutex, MayBeHeldWhileBlocking) {
  expect_clean([](Execution& execution) {
    Mutex mutex{"m"};
    Inside inside;
    together(execution, 3, [&](int) {
      const MutexLock lock{mutex};
      engine::sleep_for(engine::Nanos{100});
      inside.visit();
    });
  });
}

TEST(Mutex, LockingTwiceFails) {
  const auto finding = must_fail([](Execution&) {
    Mutex mutex{"m"};
    mutex.lock();
    mutex.lock();
  });
  EXPECT_EQ(finding.kind, FindingKind::assertion);
  EXPECT_NE(finding.message.find("locks mutex m twice"), std::string::npos);
}

TEST(Mutex, UnlockingAnothersFails) {
  const auto finding = must_fail([](Execution& execution) {
    Mutex mutex{"m"};
    mutex.lock();
    execution.spawn("thief", [&] { mutex.unlock(); });
    engine::sleep_for(engine::Nanos{1});
    mutex.unlock();
  });
  EXPECT_NE(finding.message.find("does not hold it"), std::string::npos);
}

TEST(Mutex, DestroyingAHeldOneFails) {
  const auto finding = must_fail([](Execution&) {
    Mutex mutex{"m"};
    mutex.lock();
  });
  EXPECT_EQ(finding.kind, FindingKind::lifetime);
}

TEST(SpinLock, AdmitsOneAndForgetsNobody) {
  expect_clean([](Execution& execution) {
    engine::SpinLock lock{"s"};
    Inside inside;
    together(execution, 4, [&](int) {
      for (int round = 0; round < 3; ++round) {
        const engine::SpinGuard guard{lock};
        inside.visit();
      }
    });
  });
}

TEST(RwLock, AdmitsReadersTogetherAndWritersAlone) {
  std::atomic<bool> readers_met{false};
  expect_clean([&](Execution& execution) {
    engine::RwLock lock{"rw"};
    std::atomic<int> readers{0};   // readers are together
    bool writing = false;
    together(execution, 5, [&](int i) {
      for (int round = 0; round < 2; ++round) {
        if (i < 2) {
          const engine::WriteLock write{lock};
          ENGINE_CHECK(!writing);
          ENGINE_CHECK(readers == 0, "a writer meets a reader");
          writing = true;
          engine::yield_now();
          writing = false;
        } else {
          const engine::ReadLock read{lock};
          ENGINE_CHECK(!writing, "a reader meets a writer");
          ++readers;
          if (readers > 1) readers_met = true;
          engine::yield_now();
          --readers;
        }
      }
    });
  });
  EXPECT_TRUE(readers_met);
}

TEST(RwLock, TryLockSharedNeverWaits) {
  expect_clean([](Execution& execution) {
    engine::RwLock lock{"rw"};
    bool writing = false;
    together(execution, 3, [&](int i) {
      if (i == 0) {
        const engine::WriteLock write{lock};
        writing = true;
        engine::yield_now();
        writing = false;
        return;
      }
      const engine::ContextScope scope{engine::ContextKind::caller};   // may not block
      if (!lock.try_lock_shared()) return;
      ENGINE_CHECK(!writing);
      lock.unlock_shared();
    });
  });
}

TEST(RwLock, ReadersDoNotStarveAWriter) {
  // Two readers that always overlap; the writer must get in all the same.
  expect_clean([](Execution& execution) {
    engine::RwLock lock{"rw"};
    engine::Atomic<bool> written{"written"};
    Completion ended{"ended", 3};
    for (int i = 0; i < 2; ++i) {
      execution.spawn("reader", [&] {
        while (!written.load()) {
          const engine::ReadLock read{lock};
          engine::yield_now();
        }
        ended.signal();
      });
    }
    execution.spawn("writer", [&] {
      {
        const engine::WriteLock write{lock};
        written.store(true);
      }
      ended.signal();
    });
    ended.wait();
  });
}

TEST(RwLock, WritingTwiceFails) {
  const auto finding = must_fail([](Execution&) {
    engine::RwLock lock{"rw"};
    lock.lock();
    lock.lock();
  });
  EXPECT_NE(finding.message.find("twice"), std::string::npos);
}

TEST(Condition, LosesNoWakeUp) {
  expect_clean([](Execution& execution) {
    Mutex mutex{"m"};
    engine::Condition changed{"changed"};
    int tokens = 0;
    together(execution, 6, [&](int i) {
      if (i % 2 == 0) {
        const MutexLock lock{mutex};
        ++tokens;
        changed.notify_one();
      } else {
        const MutexLock lock{mutex};
        changed.wait(mutex, [&] { return tokens > 0; });
        --tokens;
      }
    });
    ENGINE_CHECK(tokens == 0);
  });
}

TEST(Condition, NotifyAllWakesAll) {
  expect_clean([](Execution& execution) {
    Mutex mutex{"m"};
    engine::Condition opened{"opened"};
    bool open = false;
    together(execution, 4, [&](int i) {
      if (i == 3) {
        {
          const MutexLock lock{mutex};
          open = true;
        }
        opened.notify_all();
        return;
      }
      const MutexLock lock{mutex};
      opened.wait(mutex, [&] { return open; });
    });
  });
}

TEST(Condition, AWakeUpThatIsLostIsADeadlock) {
  // Looking without the mutex: the flag may be set between the look and the wait.
  const auto found = find_any(
      [](Execution& execution) {
        Mutex mutex{"m"};
        engine::Condition changed{"changed"};
        engine::Atomic<bool> flag{"flag"};
        together(execution, 2, [&](int i) {
          if (i == 0) {
            flag.store(true);
            changed.notify_one();
          } else if (!flag.load()) {
            const MutexLock lock{mutex};
            changed.wait(mutex);
          }
        });
      },
      300);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->kind, FindingKind::deadlock);
  EXPECT_NE(found->detail.find("waits for condition changed"), std::string::npos) << found->detail;
  EXPECT_NE(found->detail.find("locks_test.cc:"), std::string::npos) << found->detail;
}

TEST(Completion, OpensAfterTheLastSignal) {
  expect_clean([](Execution& execution) {
    Completion gate{"gate", 3};
    std::atomic<int> signals{0};
    for (int i = 0; i < 3; ++i) {
      execution.spawn("signaller", [&] {
        ++signals;
        gate.signal();
      });
    }
    together(execution, 2, [&](int) {
      gate.wait();
      ENGINE_CHECK(signals == 3);
    });
    gate.wait();
    ENGINE_CHECK(gate.done());
  });
}

TEST(Completion, SignallingTooOftenFails) {
  const auto finding = must_fail([](Execution&) {
    Completion gate{"gate"};
    gate.signal();
    gate.signal();
  });
  EXPECT_NE(finding.message.find("once too often"), std::string::npos);
}

TEST(RefCount, NeverComesBackFromZero) {
  const auto finding = must_fail([](Execution&) {
    engine::RefCount references{"r"};
    static_cast<void>(references.put());
    references.get();
  });
  EXPECT_EQ(finding.kind, FindingKind::lifetime);
}

TEST(RefCount, GetUnlessZeroAndTheLastPutExclude) {
  expect_clean([](Execution& execution) {
    engine::RefCount references{"r"};
    bool alive = true;
    together(execution, 3, [&](int i) {
      if (i == 0) {
        if (references.put()) alive = false;
      } else if (references.get_unless_zero()) {
        ENGINE_CHECK(alive);
        if (references.put()) alive = false;
      }
    });
    ENGINE_CHECK(!alive);
  });
}

}   // namespace
}   // namespace fiber_test
