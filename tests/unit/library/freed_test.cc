// Memory that a program still uses when another thread has freed it: found by what it is filled
// with, shrunk, and replayed, whether or not leaks are looked for.
#include <utility>

#include <gtest/gtest.h>

#include "sim/library/takings.h"
#include "sim/tank.h"

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

}   // namespace
}   // namespace sim
