// Small concurrent programs with a known bug or a known number of executions, written from their
// published shapes: SCTBench's (P. Thomson, A. Donaldson, A. Betts, "Concurrency Testing Using
// Controlled Schedulers", 2016), as others have measured them, and the synthetic tests of stateless
// model checkers. The same threads, started in the same order; the same critical sections, shared
// accesses and failing conditions. Values that no thread changes are plain.
#pragma once

#include <array>
#include <cstdint>
#include <deque>

#include "engine/fiber/rw_lock.h"
#include "sim/tank.h"

namespace programs {

using engine::Atomic;
using engine::Mutex;
using engine::MutexLock;
using sim::Threads;
using sim::Variable;

// --- with a bug ---

// Three critical sections under one lock. The check expects of a deposit and a withdrawal what they
// do not come to, so it fails when it comes last.
inline void account() {
  Mutex mutex{"account"};
  Variable<int> balance{"balance", 1};
  Variable<bool> deposited{"deposited", false};
  Variable<bool> withdrawn{"withdrawn", false};
  Threads threads;
  threads.start("check", [&] {
    const MutexLock lock{mutex};
    if (deposited.get() && withdrawn.get())
      sim::expect(balance.get() == 1 - 2 - 4, "a deposit and a withdrawal do not add up");
  });
  threads.start("deposit", [&] {
    const MutexLock lock{mutex};
    balance.set(balance.get() + 2);
    deposited.set(true);
  });
  threads.start("withdraw", [&] {
    const MutexLock lock{mutex};
    balance.set(balance.get() - 4);
    withdrawn.set(true);
  });
  threads.join();
}

// Two locks in opposite order.
inline void deadlock01() {
  Mutex a{"a"};
  Mutex b{"b"};
  Variable<int> counter{"counter", 1};
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

// Right only when the check does not come after both others, which are started later.
inline void lazy01() {
  Mutex mutex{"data"};
  Variable<int> data{"data"};
  Threads threads;
  threads.start("check", [&] {
    const MutexLock lock{mutex};
    sim::expect(data.get() < 3, "both had come before");
  });
  threads.start("two", [&] {
    const MutexLock lock{mutex};
    data.set(data.get() + 2);
  });
  threads.start("one", [&] {
    const MutexLock lock{mutex};
    data.set(data.get() + 1);
  });
  threads.join();
}

// Setters write a, then b; the checker, started last, sees one without the other.
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
    const bool neither = a.get() == 0 && b.get() == 0;
    sim::expect(neither || (a.get() == 1 && b.get() == -1), "one field without the other");
  });
  threads.join();
}

// A pop that trusts a flag which only says that there once was something.
inline void stack() {
  constexpr int kSize = 10;
  Mutex mutex{"stack"};
  Variable<int> top{"top"};
  Variable<bool> filled{"filled", false};
  Threads threads;
  threads.start("push", [&] {
    for (int i = 0; i < kSize; ++i) {
      const MutexLock lock{mutex};
      sim::expect(top.get() != kSize, "the stack overflows");
      top.set(top.get() + 1);
      filled.set(true);
    }
  });
  threads.start("pop", [&] {
    for (int i = 0; i < kSize; ++i) {
      const MutexLock lock{mutex};
      if (!filled.get()) continue;
      sim::expect(top.get() != 0, "the stack underflows");
      top.set(top.get() - 1);
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
    if (flag1.get() && flag2.get() && flag3.get()) {
      const int seen1 = x1.get();
      if (const int seen2 = x2.get(); seen1 == seen2) {
        const int again = x2.get();
        sim::expect(again == x3.get(), "the copies differ");
      } else {
        sim::expect(false, "the copies differ");
      }
    }
  });
  threads.join();
}

// A value under one lock, what is derived from it under another, and a reader that comes between
// the two. Everybody derives the same, so the reader has to come before all of them.
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
        if (value.get() == 0) return;
        seen = value.get();
      }
      int found = 0;
      {
        const MutexLock lock{second};
        found = derived.get();
      }
      sim::expect(found == seen + 1, "a value without what is derived from it");
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

// Several write, others read once.
inline void readers_writers(int readers_in_all, int writers_in_all) {
  Atomic<int> x{"x"};
  Threads threads;
  for (int i = 0; i < writers_in_all; ++i)
    threads.start("write", [&, i] { x.store(i); });
  for (int i = 0; i < readers_in_all; ++i)
    threads.start("read", [&] { static_cast<void>(x.load()); });
  threads.join();
}

// Some lock to write, others to read once. Of one writer and n readers there are 4^n: each comes
// before it, keeps it waiting, waits for it, or comes after it.
inline void locked_readers(int readers_in_all, int writers_in_all) {
  engine::RwLock lock{"lock"};
  Threads threads;
  for (int i = 0; i < readers_in_all; ++i)
    threads.start("read", [&] { const engine::ReadLock held{lock}; });
  for (int i = 0; i < writers_in_all; ++i)
    threads.start("write", [&] { const engine::WriteLock held{lock}; });
  threads.join();
}

// Each but the first makes its element one more than the one before it; the first looks for the
// last element that is still zero. Where it looks depends on what it sees.
inline void lastzero(int threads_in_all) {
  std::deque<Atomic<int>> array;
  for (int i = 0; i <= threads_in_all; ++i)
    array.emplace_back("element");
  Threads threads;
  threads.start("look", [&] {
    auto i = static_cast<std::size_t>(threads_in_all);
    while (array[i].load() != 0)
      --i;
  });
  for (std::size_t i = 1; i <= static_cast<std::size_t>(threads_in_all); ++i)
    threads.start("write", [&, i] { array[i].store(array[i - 1].load() + 1); });
  threads.join();
}

// --- that wait by looking again ---

// Each takes a lock that is a flag, by compare-exchange until it works. `gives_back_early`: before
// it is done.
inline void spin_lock(int threads_in_all, bool gives_back_early = false) {
  Atomic<bool> taken{"taken", false};
  Variable<int> inside{"inside"};
  Threads threads;
  for (int i = 0; i < threads_in_all; ++i) {
    threads.start("spin", [&] {
      for (bool free = false; !taken.compare_exchange(free, true); free = false)
        engine::yield_now();
      if (gives_back_early) taken.store(false);
      inside.set(inside.get() + 1);
      sim::expect(inside.get() == 1, "two are inside");
      inside.set(inside.get() - 1);
      if (!gives_back_early) taken.store(false);
    });
  }
  threads.join();
}

// A writer makes the count odd while it writes; readers look again when it was, or has moved.
// `forgets`: the writer leaves the count alone.
inline void seqlock(int readers_in_all, bool forgets = false) {
  Atomic<int> count{"count"};
  Variable<int> a{"a"};
  Variable<int> b{"b"};
  Threads threads;
  threads.start("write", [&] {
    if (!forgets) count.fetch_add(1);
    a.set(1);
    b.set(1);
    if (!forgets) count.fetch_add(1);
  });
  for (int i = 0; i < readers_in_all; ++i) {
    threads.start("read", [&] {
      for (;;) {
        const int before = count.load();
        if (before % 2 != 0) {
          engine::yield_now();
          continue;
        }
        const int seen_a = a.get();
        const int seen_b = b.get();
        if (count.load() != before) continue;
        sim::expect(seen_a == seen_b, "half of a write was read");
        return;
      }
    });
  }
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
