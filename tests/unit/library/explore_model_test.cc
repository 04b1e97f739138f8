// Exploration against a model that has no fibers, no scheduler and no strategy in it: threads are
// lists of operations, and all their interleavings are gone through. Classes are told apart by the
// order of what happens to each object, looks between two changes aside.
#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "sim/rng.h"
#include "sim/tank.h"
#include "tests/unit/sparse.h"

namespace sim {
namespace {

enum class Does : std::uint8_t { load, store, add, lock, unlock };
struct Op {
  Does does;
  std::uint8_t object;
};
using Script = std::vector<Op>;
using Scripts = std::vector<Script>;

class Model {
 public:
  Model(const Scripts& threads, std::optional<std::uint32_t> preemptions)
      : threads_{threads}, most_{preemptions} {}
  std::uint64_t classes() {
    State start;
    start.at.assign(threads_.size(), 0);
    visit(start);
    return classes_.size();
  }

 private:
  static constexpr std::uint32_t kNobody = ~0U;
  static constexpr std::size_t kObjects = 4;   // two atomics, two mutexes
  struct State {
    std::vector<std::uint32_t> at;
    std::array<bool, kObjects> held{};
    std::array<std::string, kObjects> done{};   // to each object: "W" and who, or "R" and whoever
    std::uint32_t last = kNobody;
    std::uint32_t preemptions = 0;
    friend auto operator<=>(const State&, const State&) = default;
  };

  [[nodiscard]] static std::size_t object_of(const Op& op) {
    const bool is_mutex = op.does == Does::lock || op.does == Does::unlock;
    return op.object + (is_mutex ? 2U : 0U);
  }
  [[nodiscard]] bool can_go_on(const State& state, std::uint32_t thread) const {
    if (state.at[thread] == threads_[thread].size()) return false;
    const Op& op = threads_[thread][state.at[thread]];
    return op.does != Does::lock || !state.held[object_of(op)];
  }
  // Who looked since the last change is a set: its members in order.
  static void note_look(std::string& done, char who) {
    const std::size_t change = done.rfind('W');
    const std::size_t group = change == std::string::npos ? 0 : change + 2;
    done.insert(
        std::upper_bound(done.begin() + static_cast<std::ptrdiff_t>(group), done.end(), who), who);
  }
  void visit(const State& state) {
    if (!seen_.insert(state).second) return;
    bool over = true;
    for (std::uint32_t thread = 0; thread < threads_.size(); ++thread) {
      if (!can_go_on(state, thread)) continue;
      over = false;
      State next = state;
      const bool interrupts =
          state.last != kNobody && state.last != thread && can_go_on(state, state.last);
      next.preemptions += interrupts ? 1 : 0;
      if (next.preemptions > most_.value_or(kNobody)) continue;
      const Op& op = threads_[thread][next.at[thread]++];
      const std::size_t object = object_of(op);
      const char who = static_cast<char>('0' + thread);
      if (op.does == Does::load) {
        note_look(next.done[object], who);
      } else if (op.does == Does::unlock) {   // in no order but its lock's
        next.held[object] = false;
      } else {
        next.held[object] = op.does == Does::lock;
        next.done[object] += {'W', who};
      }
      next.last = thread;
      visit(next);
    }
    if (over) classes_.insert(state.done);
  }

  const Scripts& threads_;
  const std::optional<std::uint32_t> most_;
  std::set<State> seen_;
  std::set<std::array<std::string, kObjects>> classes_;
};

Scripts draw(Rng& rng) {
  Scripts threads(2 + rng.below(2));
  for (Script& thread : threads) {
    const auto any = [&] {
      return Op{static_cast<Does>(rng.below(3)), static_cast<std::uint8_t>(rng.below(2))};
    };
    const std::size_t most = 1 + rng.below(4);
    while (thread.size() < most) {
      if (rng.below(4) != 0) {
        thread.push_back(any());
        continue;
      }
      const auto mutex = static_cast<std::uint8_t>(rng.below(2));
      thread.push_back({Does::lock, mutex});
      for (std::uint32_t i = rng.below(3); i != 0; --i)
        thread.push_back(any());
      thread.push_back({Does::unlock, mutex});
    }
  }
  return threads;
}

void run(const Scripts& threads) {
  std::deque<engine::Atomic<int>> atomics;
  std::deque<engine::Mutex> mutexes;
  for (int i = 0; i < 2; ++i) {
    atomics.emplace_back("atomic");
    mutexes.emplace_back("mutex");
  }
  Threads all;
  for (const Script& thread : threads) {
    all.start("thread", [&] {
      for (const auto& [does, object] : thread) {
        switch (does) {
          case Does::load:
            static_cast<void>(atomics[object].load());
            break;
          case Does::store:
            atomics[object].store(1);
            break;
          case Does::add:
            atomics[object].fetch_add(1);
            break;
          case Does::lock:
            mutexes[object].lock();
            break;
          case Does::unlock:
            mutexes[object].unlock();
            break;
        }
      }
    });
  }
  all.join();
}

TEST(Explore, CountsWhatAModelCounts) {
  Rng rng{17};
  std::uint64_t all = 0;
  for (std::uint32_t round = 0; round < 60; round += unit::sparse()) {
    const Scripts threads = draw(rng);
    const Program program = [&] { run(threads); };
    for (const std::optional<std::uint32_t> preemptions :
         {std::optional<std::uint32_t>{}, std::optional{0U}, std::optional{1U},
          std::optional{2U}}) {
      const Exploration explored = explore(program, {.preemptions = preemptions});
      EXPECT_TRUE(explored.complete && !explored.found);
      EXPECT_EQ(explored.executions, Model(threads, preemptions).classes())
          << "round " << round << ", at most " << preemptions.value_or(~0U);
      all += explored.executions;
    }
  }
  EXPECT_GT(all, unit::sparse() == 1 ? 1'000U : 0U);
}

}   // namespace
}   // namespace sim
