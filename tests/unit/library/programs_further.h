// Further small programs with a bug, from their published shapes (programs.h). The strategies were
// made with an eye on the others; these are there to see whether what was learnt there holds.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>

#include "sim/tank.h"

namespace programs {

// Each takes the fork on the right, then the one on the left.
inline void din_phil(int philosophers) {
  const auto count = static_cast<std::size_t>(philosophers);
  std::deque<engine::Mutex> forks;
  for (std::size_t i = 0; i < count; ++i)
    forks.emplace_back("fork");
  sim::Threads threads;
  for (std::size_t i = 0; i < count; ++i) {
    threads.start("philosopher", [&forks, i, count] {
      const engine::MutexLock right{forks[(i + 1) % count]};
      const engine::MutexLock left{forks[i]};
    });
  }
  threads.join();
}

// A few add under one lock and see that nobody else does; many add under another.
inline void wronglock(int careful, int careless) {
  engine::Mutex lock{"data"};
  engine::Mutex other{"this"};
  sim::Variable<int> value{"value"};
  sim::Threads threads;
  for (int i = 0; i < careful; ++i) {
    threads.start("careful", [&] {
      const engine::MutexLock guard{lock};
      const int before = value.get();
      value.set(value.get() + 1);
      sim::expect(value.get() == before + 1, "somebody else has added something");
    });
  }
  for (int i = 0; i < careless; ++i) {
    threads.start("careless", [&] {
      const engine::MutexLock guard{other};
      value.set(value.get() + 1);
    });
  }
  threads.join();
}

// A driver is stopped between a look at its stopping flag and the count of what is under way.
inline void bluetooth_driver() {
  engine::Mutex atomic{"atomic"};
  sim::Variable<int> pending{"pending", 1};
  sim::Variable<bool> stopping{"stopping", false};
  sim::Variable<bool> event{"event", false};
  sim::Variable<bool> stopped{"stopped", false};
  const auto decrement = [&] {
    int left = 0;
    {
      const engine::MutexLock guard{atomic};
      pending.set(pending.get() - 1);
      left = pending.get();
    }
    if (left == 0) event.set(true);
  };
  sim::Threads threads;
  threads.start("stop", [&] {
    stopping.set(true);
    decrement();
    if (event.get()) stopped.set(true);
  });
  if (!stopping.get()) {
    {
      const engine::MutexLock guard{atomic};
      pending.set(pending.get() + 1);
    }
    sim::expect(!stopped.get(), "works on a driver that has stopped");
  }
  decrement();
  threads.join();
}

// Two classes of users shut each other out by a second lock that the first of a class takes while
// it holds the first lock. Two further threads have nothing to do.
inline void carter01() {
  engine::Mutex m{"m"};
  engine::Mutex l{"l"};
  sim::Variable<int> a{"a"};
  sim::Variable<int> b{"b"};
  const auto use = [&](sim::Variable<int>& users) {
    m.lock();
    users.set(users.get() + 1);
    if (users.get() == 1) l.lock();
    m.unlock();
    m.lock();
    users.set(users.get() - 1);
    if (users.get() == 0) l.unlock();
    m.unlock();
  };
  sim::Threads threads;
  threads.start("a1", [&] { use(a); });
  threads.start("b1", [&] { use(b); });
  threads.start("a2", [] {});
  threads.start("b2", [] {});
  threads.join();
}

// A consumer that takes its own loop counter for the number of what comes next.
inline void circular_buffer() {
  constexpr int kRounds = 7;
  constexpr std::size_t kSize = 10;
  engine::Mutex mutex{"buffer"};
  sim::Variable<bool> send{"send", true};
  sim::Variable<bool> receive{"receive", false};
  sim::Variable<std::size_t> first{"first"};
  sim::Variable<std::size_t> next{"next"};
  std::array<int, kSize> buffer{};
  sim::Threads threads;
  threads.start("insert", [&] {
    for (int i = 0; i < kRounds; ++i) {
      const engine::MutexLock guard{mutex};
      if (!send.get()) continue;
      const std::size_t at = next.get();
      buffer[at] = i;
      next.set((at + 1) % kSize);
      send.set(false);
      receive.set(true);
    }
  });
  threads.start("remove", [&] {
    for (int i = 0; i < kRounds; ++i) {
      const engine::MutexLock guard{mutex};
      if (!receive.get()) continue;
      int got = -1;
      if (next.get() > 0) {
        const std::size_t at = first.get();
        got = buffer[at];
        first.set(at + 1);
      }
      sim::expect(got == i, "another element than expected");
      receive.set(false);
      send.set(true);
    }
  });
  threads.join();
}

// The same with a queue that is filled by one before the loop.
inline void queue() {
  constexpr int kSize = 20;
  engine::Mutex mutex{"queue"};
  sim::Variable<bool> may_enqueue{"may enqueue", true};
  sim::Variable<bool> may_dequeue{"may dequeue", false};
  sim::Variable<std::size_t> head{"head"};
  sim::Variable<std::size_t> tail{"tail"};
  std::array<int, kSize + 1> elements{};
  std::array<int, kSize> stored{};
  const auto enqueue = [&](int value) {
    const std::size_t at = tail.get();
    elements[at] = value;
    tail.set(at + 1);
  };
  sim::Threads threads;
  threads.start("enqueue", [&] {
    int value = 0;
    {
      const engine::MutexLock guard{mutex};
      enqueue(value);
      stored[0] = value;
    }
    for (std::size_t i = 0; i < kSize - 1; ++i) {
      const engine::MutexLock guard{mutex};
      if (!may_enqueue.get()) continue;
      enqueue(++value);
      stored[i + 1] = value;
      may_enqueue.set(false);
      may_dequeue.set(true);
    }
  });
  threads.start("dequeue", [&] {
    for (std::size_t i = 0; i < kSize; ++i) {
      const engine::MutexLock guard{mutex};
      if (!may_dequeue.get()) continue;
      const std::size_t at = head.get();
      head.set(at + 1);
      sim::expect(elements[at] == stored[i], "another element than expected");
      may_dequeue.set(false);
      may_enqueue.set(true);
    }
  });
  threads.join();
}

// A producer and a consumer that wait for each other; the consumer of sync01 takes nothing away,
// and the one of sync02 is signalled by a producer that does not hold the lock.
inline void sync(int rounds, int at_first, bool takes) {
  engine::Mutex mutex{"items"};
  engine::Condition empty{"empty"};
  engine::Condition full{"full"};
  sim::Variable<int> items{"items", at_first};
  sim::Threads threads;
  threads.start("produce", [&] {
    for (int i = 0; i < rounds; ++i) {
      {
        const engine::MutexLock guard{mutex};
        while (items.get() > 0)
          empty.wait(mutex);
        items.set(items.get() + 1);
      }
      full.notify_one();
    }
  });
  threads.start("consume", [&] {
    for (int i = 0; i < rounds; ++i) {
      {
        const engine::MutexLock guard{mutex};
        while (items.get() == 0)
          full.wait(mutex);
        if (takes) items.set(items.get() - 1);
      }
      empty.notify_one();
    }
  });
  threads.join();
}
inline void sync01() {
  sync(1, 1, false);
}
inline void sync02() {
  sync(2, 2, true);
}

// A stack of indices without locks: three threads pop, use and push twice each. An element can be
// popped twice by a chain of at least five preemptions: taken off, pushed back and taken again
// between a read of its successor and the exchange of the head (D. Vyukov's SafeStack, 2010).
class SafeStack {
 public:
  static constexpr int kElements = 3;

  sim::Variable<int>& value_of(int element) { return values_[static_cast<std::size_t>(element)]; }
  int pop() {
    while (count_.load() > 1) {
      const int top = head_.load();
      const int next = next_of(top).exchange(-1);
      if (next < 0) {
        engine::yield_now();
        continue;
      }
      int expected = top;
      if (head_.compare_exchange(expected, next)) {
        count_.fetch_sub(1);
        return top;
      }
      next_of(top).exchange(next);
    }
    return -1;
  }
  void push(int element) {
    int top = head_.load();
    do {
      next_of(element).store(top);
    } while (!head_.compare_exchange(top, element));
    count_.fetch_add(1);
  }

 private:
  engine::Atomic<int>& next_of(int element) { return next_[static_cast<std::size_t>(element)]; }

  engine::Atomic<int> head_{"head", 0};
  engine::Atomic<int> count_{"count", kElements};
  std::array<engine::Atomic<int>, kElements> next_{engine::Atomic<int>{"next", 1},
                                                   engine::Atomic<int>{"next", 2},
                                                   engine::Atomic<int>{"next", -1}};
  std::array<sim::Variable<int>, kElements> values_{
      sim::Variable<int>{"value"}, sim::Variable<int>{"value"}, sim::Variable<int>{"value"}};
};

inline void safe_stack() {
  SafeStack stack;
  sim::Threads threads;
  for (int who = 0; who < 3; ++who) {
    threads.start("user", [&stack, who] {
      for (int round = 0; round < 2; ++round) {
        int element = -1;
        while ((element = stack.pop()) < 0)
          engine::yield_now();
        stack.value_of(element).set(who);
        sim::expect(stack.value_of(element).get() == who, "an element that somebody else has, too");
        stack.push(element);
      }
    });
  }
  threads.join();
}

}   // namespace programs
