// Small concurrent programs with a known bug or a known number of executions, written from their
// published shapes: SCTBench's (P. Thomson, A. Donaldson, A. Betts, "Concurrency Testing Using
// Controlled Schedulers", 2016) and the synthetic tests of stateless model checkers.
#pragma once

#include <array>
#include <cstdint>
#include <deque>

#include "sim/tank.h"

namespace programs {

using engine::Atomic;
using engine::Mutex;
using engine::MutexLock;
using sim::Threads;
using sim::Variable;

// --- with a bug ---

// Deposit and withdrawal lock; the check of the balance between them does not see both or neither.
inline void account() {
  Mutex mutex{"account"};
  Variable<int> balance{"balance", 10};
  Variable<bool> deposited{"deposited", false};
  Variable<bool> withdrawn{"withdrawn", false};
  Threads threads;
  threads.start("deposit", [&] {
    const MutexLock lock{mutex};
    if (balance.get() > 0) balance.set(balance.get() + 20);
    deposited.set(true);
  });
  threads.start("withdraw", [&] {
    const MutexLock lock{mutex};
    if (balance.get() > 0) balance.set(balance.get() - 10);
    withdrawn.set(true);
  });
  threads.start("check", [&] {
    const MutexLock lock{mutex};
    if (deposited.get() && withdrawn.get())
      sim::expect(balance.get() == 20, "a deposit and a withdrawal do not add up");
  });
  threads.join();
}

// Two locks in opposite order.
inline void deadlock01() {
  Mutex a{"a"};
  Mutex b{"b"};
  Variable<int> counter{"counter"};
  Threads threads;
  threads.start("first", [&] {
    const MutexLock one{a};
    const MutexLock two{b};
    counter.set(counter.get() + 1);
  });
  threads.start("second", [&] {
    const MutexLock one{b};
    const MutexLock two{a};
    counter.set(counter.get() - 1);
  });
  threads.join();
}

// Right only when the last of three critical sections does not come after both others.
inline void lazy01() {
  Mutex mutex{"data"};
  Variable<int> data{"data"};
  Threads threads;
  threads.start("one", [&] {
    const MutexLock lock{mutex};
    data.set(data.get() + 1);
  });
  threads.start("two", [&] {
    const MutexLock lock{mutex};
    data.set(data.get() + 2);
  });
  threads.start("check", [&] {
    const MutexLock lock{mutex};
    sim::expect(data.get() < 3, "both had come before");
  });
  threads.join();
}

// Setters write a, then b; the checker sees one without the other.
inline void reorder(int threads_in_all) {
  Variable<int> a{"a"};
  Variable<int> b{"b"};
  Threads threads;
  for (int i = 0; i < threads_in_all - 1; ++i) {
    threads.start("set", [&] {
      a.set(1);
      b.set(-1);
    });
  }
  threads.start("check", [&] {
    const int seen_a = a.get();
    const int seen_b = b.get();
    sim::expect((seen_a == 0 && seen_b == 0) || (seen_a == 1 && seen_b == -1),
                "one field without the other");
  });
  threads.join();
}

// A pop that trusts a flag which was true a moment ago.
inline void stack() {
  constexpr int kSize = 4;
  Mutex mutex{"stack"};
  Variable<int> top{"top"};
  Variable<bool> filled{"filled", false};
  Threads threads;
  threads.start("push", [&] {
    for (int i = 0; i < kSize; ++i) {
      const MutexLock lock{mutex};
      top.set(top.get() + 1);
      filled.set(true);
    }
  });
  threads.start("pop", [&] {
    for (int i = 0; i < kSize; ++i) {
      const MutexLock lock{mutex};
      if (!filled.get()) continue;
      const int now = top.get();
      sim::expect(now > 0, "the stack underflows");
      top.set(now - 1);
    }
  });
  threads.join();
}

// Each thread copies its neighbour's value; nothing makes the copies agree.
inline void token_ring() {
  Variable<int> x1{"x1", 1};
  Variable<int> x2{"x2", 2};
  Variable<int> x3{"x3", 1};
  Variable<bool> flag1{"flag1", false};
  Variable<bool> flag2{"flag2", false};
  Variable<bool> flag3{"flag3", false};
  Mutex mutex{"ring"};
  Threads threads;
  threads.start("t1", [&] {
    const MutexLock lock{mutex};
    x1.set((x3.get() + 1) % 4);
    flag1.set(true);
  });
  threads.start("t2", [&] {
    const MutexLock lock{mutex};
    x2.set(x1.get());
    flag2.set(true);
  });
  threads.start("t3", [&] {
    const MutexLock lock{mutex};
    x3.set(x2.get());
    flag3.set(true);
  });
  threads.start("check", [&] {
    const MutexLock lock{mutex};
    if (flag1.get() && flag2.get() && flag3.get())
      sim::expect(x1.get() == x2.get() && x2.get() == x3.get(), "the copies differ");
  });
  threads.join();
}

// A value under one lock, its derived value under another, and a reader between the two.
inline void twostage(int writers, int readers) {
  Mutex first{"first"};
  Mutex second{"second"};
  Variable<int> value{"value"};
  Variable<int> derived{"derived"};
  Threads threads;
  for (int i = 0; i < writers; ++i) {
    threads.start("write", [&] {
      {
        const MutexLock lock{first};
        value.set(1);
      }
      const MutexLock lock{second};
      derived.set(value.get() + 1);
    });
  }
  for (int i = 0; i < readers; ++i) {
    threads.start("read", [&] {
      int seen = 0;
      {
        const MutexLock lock{first};
        seen = value.get();
        if (seen == 0) return;
      }
      const MutexLock lock{second};
      sim::expect(derived.get() == seen + 1, "a value without what is derived from it");
    });
  }
  threads.join();
}

// --- of known numbers of executions ---

// Each increments once, atomically.
inline void ainc(int threads_in_all) {
  Atomic<int> count{"count"};
  Threads threads;
  for (int i = 0; i < threads_in_all; ++i)
    threads.start("add", [&] { count.fetch_add(1); });
  threads.join();
}

// Each locks, increments, unlocks.
inline void lockinc(int threads_in_all) {
  Mutex mutex{"mutex"};
  Variable<int> count{"count"};
  Threads threads;
  for (int i = 0; i < threads_in_all; ++i) {
    threads.start("add", [&] {
      const MutexLock lock{mutex};
      count.set(count.get() + 1);
    });
  }
  threads.join();
}

// One writes, the others read once.
inline void readers(int readers_in_all) {
  Atomic<int> x{"x"};
  Threads threads;
  threads.start("write", [&] { x.store(1); });
  for (int i = 0; i < readers_in_all; ++i)
    threads.start("read", [&] { static_cast<void>(x.load()); });
  threads.join();
}

// Mutual exclusion by two flags and a turn. True when both have come in at their first look: the
// executions in which somebody would have to look again are not counted by those who publish
// counts.
inline bool peterson() {
  Atomic<int> flag0{"flag0"};
  Atomic<int> flag1{"flag1"};
  Atomic<int> turn{"turn"};
  Variable<int> inside{"inside"};
  std::array<bool, 2> came_in{};
  const auto enter = [&](std::size_t who, Atomic<int>& mine, Atomic<int>& other, int others_turn) {
    mine.store(1);
    turn.store(others_turn);
    if (other.load() == 1 && turn.load() == others_turn) return;
    came_in[who] = true;
    inside.set(inside.get() + 1);
    sim::expect(inside.get() == 1, "both are inside");
    inside.set(inside.get() - 1);
    mine.store(0);
  };
  Threads threads;
  threads.start("zero", [&] { enter(0, flag0, flag1, 1); });
  threads.start("one", [&] { enter(1, flag1, flag0, 0); });
  threads.join();
  return came_in[0] && came_in[1];
}

// The same, waiting by looking again.
inline void peterson_waiting() {
  Atomic<int> flag0{"flag0"};
  Atomic<int> flag1{"flag1"};
  Atomic<int> turn{"turn"};
  Variable<int> inside{"inside"};
  const auto enter = [&](Atomic<int>& mine, Atomic<int>& other, int others_turn) {
    mine.store(1);
    turn.store(others_turn);
    while (other.load() == 1 && turn.load() == others_turn)
      engine::yield_now();
    inside.set(inside.get() + 1);
    sim::expect(inside.get() == 1, "both are inside");
    inside.set(inside.get() - 1);
    mine.store(0);
  };
  Threads threads;
  threads.start("zero", [&] { enter(flag0, flag1, 1); });
  threads.start("one", [&] { enter(flag1, flag0, 0); });
  threads.join();
}

}   // namespace programs
