// Memory that a program still uses when another thread has freed it, and objects on stacks whose
// scope is over: found, shrunk, and replayed, whether or not leaks are looked for.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "sim/library/takings.h"
#include "sim/strategies.h"
#include "sim/tank.h"
#include "tests/unit/library/sanitized.h"

namespace sim {
namespace {

// Under a sanitizer operator new is not ours, and it knows more.
class Freed : public testing::Test {
 protected:
  void SetUp() override {
    if (!programs_have_a_heap()) GTEST_SKIP() << "there is no heap for programs here";
  }
};

struct Session {
  engine::Atomic<int> users{"users", 0};
  Variable<int> state{"state", 7};
  int plain = 7;
};

// One takes the session while it is open, and then uses it; the other closes it.
void keep_and_close(void (*use)(Session&)) {
  auto* const session = new Session;
  engine::Atomic<Session*> open{"open", session};
  Threads threads;
  threads.start("user", [&] {
    if (Session* const mine = open.load()) use(*mine);
  });
  threads.start("closer", [&] {
    open.store(nullptr);
    delete session;
  });
  threads.join();
}

void expect_found(const Program& program, FindingKind kind) {
  for (const bool leaks : {true, false}) {
    const SearchResult result = search(program, {.leaks = leaks});
    ASSERT_TRUE(result.found);
    const Found& found = *result.found;
    EXPECT_EQ(found.finding.kind, kind) << found.finding.message;
    EXPECT_TRUE(found.finding.place.starts_with("tests/unit/library/freed_test.cc:"))
        << found.finding.place;
    EXPECT_LE(found.preemptions, 1U);
    EXPECT_LE(found.schedule.decisions.size(), 2U);
    Execution execution;
    const Outcome& again = replay(execution, program, found.schedule, {.leaks = false});
    ASSERT_TRUE(again.finding);
    EXPECT_EQ(again.finding->signature(), found.finding.signature());
    EXPECT_EQ(again.digest, found.digest);
    const Exploration all = explore(program, {.leaks = leaks});
    ASSERT_TRUE(all.found);
    EXPECT_EQ(all.found->finding.signature(), found.finding.signature());
  }
}

TEST_F(Freed, AnObjectThatGoesWhileSomebodyIsAboutToUseIt) {
  expect_found([] { keep_and_close([](Session& s) { s.users.fetch_add(1); }); },
               FindingKind::lifetime);
  expect_found([] { keep_and_close([](Session& s) { static_cast<void>(s.state.get()); }); },
               FindingKind::lifetime);
}

TEST_F(Freed, PlainMemoryHoldsOtherThingsAtOnce) {
  expect_found(
      [] {
        keep_and_close([](Session& s) {
          engine::yield_now();
          expect(s.plain == 7, "not what was put there");
        });
      },
      FindingKind::assertion);
}

TEST_F(Freed, WhoLooksUnderTheLockIsFine) {
  const Program program = [] {
    engine::Mutex mutex{"session"};
    auto* session = new Session;
    Threads threads;
    threads.start("user", [&] {
      const engine::MutexLock lock{mutex};
      if (session != nullptr) expect(session->state.get() == session->plain, "not as it was");
    });
    threads.start("closer", [&] {
      const engine::MutexLock lock{mutex};
      delete std::exchange(session, nullptr);
    });
    threads.join();
  };
  EXPECT_FALSE(search(program, {.schedules = 500}).found);
  const Exploration all = explore(program);
  EXPECT_TRUE(all.complete);
  EXPECT_FALSE(all.found);
}

// --- large blocks ---

constexpr std::size_t kLarge = std::size_t{300} << 10U;
using Large = std::array<char, kLarge>;

// One takes the block while it is there, and uses it at that place; the other gives it back. Before
// that so many others have been taken and given back.
void keep_and_free(std::size_t at, int others, void (*use)(volatile char& cell)) {
  for (int i = 0; i < others; ++i)
    const auto other = std::make_unique<Large>();
  auto* const block = new Large;
  engine::Atomic<Large*> there{"there", block};
  Threads threads;
  threads.start("user", [&] {
    if (Large* const mine = there.load()) {
      engine::yield_now();
      use((*mine)[at]);
    }
  });
  threads.start("freer", [&] {
    there.store(nullptr);
    delete block;
  });
  threads.join();
}

TEST_F(Freed, NobodyMayTouchALargeBlock) {
  for (const auto& use : {+[](volatile char& cell) { cell = 1; },
                          +[](volatile char& cell) { [[maybe_unused]] const char read = cell; }}) {
    for (const std::size_t at : {std::size_t{5'000}, kLarge / 2, kLarge - 1}) {
      const Program program = [=] { keep_and_free(at, 0, use); };
      const SearchResult result = search(program);
      ASSERT_TRUE(result.found) << at;
      EXPECT_EQ(result.found->finding.signature(), "lifetime use of freed memory in user");
      EXPECT_EQ(result.found->finding.detail, "in a block of 307200 bytes\n");
      EXPECT_LE(result.found->schedule.decisions.size(), 2U);
      Execution execution;
      const Outcome& again = replay(execution, program, result.found->schedule);
      ASSERT_TRUE(again.finding);
      EXPECT_EQ(again.finding->signature(), result.found->finding.signature());
      EXPECT_EQ(again.digest, result.found->digest);
      EXPECT_NE(again.finding->detail.find("freed_test.cc:"), std::string::npos)
          << again.finding->detail;
    }
  }
}

// Before its first whole page, and all of it where there are too many.
TEST_F(Freed, TheRestOfALargeBlockIsFilled) {
  const auto unchanged = [](volatile char& cell) { expect(cell == 0, "not what was there"); };
  for (const auto& [at, others] :
       {std::pair{std::size_t{0}, 0}, {kLarge / 2, 300}, {kLarge - 1, 300}}) {
    const SearchResult result =
        search([=, at = at, others = others] { keep_and_free(at, others, unchanged); });
    ASSERT_TRUE(result.found) << at;
    EXPECT_EQ(result.found->finding.kind, FindingKind::assertion);
  }
}

TEST_F(Freed, ALargeBlockThatIsTakenAgainHasNothingOfItsLastUse) {
  const SearchResult result = search(
      [] {
        Threads threads;
        for (const char* const name : {"a", "b"}) {
          threads.start(name, [] {
            for (const std::size_t bytes : {kLarge, kLarge - 40, kLarge + 90'000}) {
              const std::unique_ptr<char[]> block{
                  new char[bytes]};   // NOLINT(modernize-avoid-c-arrays)
              const char* const inner = block.get() + 4096;
              expect(std::all_of(inner, inner + bytes - 8192,
                                 [](char c) { return c == 0 || c == 0x6b; }),
                     "left by another");
              std::memset(block.get(), 1, bytes);
              engine::yield_now();
            }
          });
        }
        threads.join();
      },
      {.schedules = 50});
  EXPECT_FALSE(result.found) << result.found->finding.message;
}

// --- on stacks ---

constexpr int kUntouched = -1;

// Its frame lies where that of publish() has been, and is filled with such bytes.
[[gnu::noinline]] void use_the_stack(int with) {
  std::array<volatile char, 512> frame;   // NOLINT(cppcoreguidelines-pro-type-member-init)
  for (volatile char& each : frame)
    each = static_cast<char>(with);
}

// One tells the other of an object that lives as long as its scope.
template <typename Object>
[[gnu::noinline]] void publish(engine::Atomic<Object*>& there) {
  Object object{"short-lived"};
  there.store(&object);
  there.store(nullptr);
}

template <typename Object>
void use_too_late(void (*use)(Object&), int filled_with) {
  engine::Atomic<Object*> there{"there", nullptr};
  Threads threads;
  threads.start("owner", [&] {
    publish(there);
    if (filled_with != kUntouched) use_the_stack(filled_with);
    engine::yield_now();
  });
  threads.start("user", [&] {
    if (Object* const object = there.load()) use(*object);
  });
  threads.join();
}

template <typename Object>
void expect_told(void (*use)(Object&), const std::string& message) {
  for (const int filled_with : {kUntouched, 0, 0x6b, 0x7f, 0xff}) {
    const Program program = [=] { use_too_late<Object>(use, filled_with); };
    const SearchResult result = search(program);
    ASSERT_TRUE(result.found) << filled_with;
    const Found& found = *result.found;
    EXPECT_EQ(found.finding.kind, FindingKind::lifetime);
    EXPECT_EQ(found.finding.message, message) << filled_with;
    EXPECT_TRUE(found.finding.place.starts_with("tests/unit/library/freed_test.cc:"))
        << found.finding.place;
    Execution execution;
    const Outcome& again = replay(execution, program, found.schedule);
    ASSERT_TRUE(again.finding);
    EXPECT_EQ(again.digest, found.digest);
    EXPECT_NE(again.finding->detail.find("freed_test.cc:"), std::string::npos)
        << again.finding->detail;
    // What it was is known while nobody has used its memory.
    const bool named =
        again.finding->detail.find("it was short-lived, which ") != std::string::npos;
    if (filled_with != kUntouched) {
      EXPECT_FALSE(named) << again.finding->detail;
    }
  }
}

TEST(Gone, AnObjectWhoseScopeIsOverIsToldWhateverIsThereNow) {
  if (kSanitized) GTEST_SKIP() << "the sanitizer tells more";
  expect_told<engine::Atomic<int>>([](auto& atomic) { atomic.fetch_add(1); },
                                   "user uses a destroyed atomic");
  expect_told<Variable<int>>([](auto& variable) { static_cast<void>(variable.get()); },
                             "user uses a destroyed variable");
  expect_told<engine::Condition>([](auto& condition) { condition.notify_one(); },
                                 "user uses a destroyed condition");
}

// A number that was read there must not be taken for an object's: tables would grow to it.
TEST(Gone, ItIsToldByEveryStrategy) {
  if (kSanitized) GTEST_SKIP() << "the sanitizer tells more";
  const Program program = [] {
    use_too_late<engine::Atomic<int>>([](auto& atomic) { atomic.fetch_add(1); }, 0x7f);
  };
  for (const StrategyName& strategy : strategy_names()) {
    const SearchResult result =
        search(program, {.schedules = 3'000, .strategy = std::string{strategy.name}});
    ASSERT_TRUE(result.found) << strategy.name;
    EXPECT_EQ(result.found->finding.message, "user uses a destroyed atomic") << strategy.name;
  }
}

}   // namespace
}   // namespace sim
