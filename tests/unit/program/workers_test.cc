// The worker processes of a search: what they come to does not depend on how many there are, nor on
// whether somebody kills one.
#include "sim/program/workers.h"

#include <atomic>
#include <csignal>
#include <set>
#include <string>
#include <vector>

#include <unistd.h>

#include <gtest/gtest.h>

#include "sim/program/child.h"
#include "sim/program/shared_memory.h"

namespace program {
namespace {

constexpr std::uint64_t kRound = 16;

// Schedules whose digests tell how many of its round a worker had run before, so that what was not
// learnt again shows.
class Schedules {
 public:
  WorkerPlan plan(std::uint32_t jobs) {
    WorkerPlan plan;
    plan.jobs = jobs;
    plan.schedules = 400;
    plan.round = kRound;
    plan.begin_round = [this] { learnt_ = 0; };
    plan.run = [this](std::uint64_t ordinal) {
      if (ordinal % 7 == 3) usleep(200);
      ++learnt_;
      Verdict verdict{.points = 10 + ordinal,
                      .digest = (ordinal << 8U | learnt_) * 0x9E3779B97F4A7C15ULL};
      if (on) on(ordinal, verdict);
      return verdict;
    };
    plan.show = [](const Progress&) {};
    plan.say = [this](const std::string& line) { said.push_back(line); };
    return plan;
  }

  // In the worker.
  std::function<void(std::uint64_t ordinal, Verdict& verdict)> on;
  std::vector<std::string> said;

 private:
  std::uint64_t learnt_ = 0;
};

// Of schedules 0 to `last`, where nothing is begun anew.
std::uint64_t points_up_to(std::uint64_t last) {
  return 10 * (last + 1) + last * (last + 1) / 2;
}

TEST(Workers, CountWhatComesUpToTheFirstFindingWhoeverRanAhead) {
  std::set<std::uint64_t> digests;
  for (const std::uint32_t jobs : {1U, 2U, 5U}) {
    Schedules schedules;
    schedules.on = [](std::uint64_t ordinal, Verdict& verdict) {
      if (ordinal == 100) usleep(100'000);   // the others are far ahead by then
      verdict.found = ordinal == 100 || ordinal == 117;
      verdict.signature = "found " + std::to_string(ordinal);
    };
    const SearchEnd end = run_workers(schedules.plan(jobs));
    ASSERT_EQ(end.catches.size(), 1U);
    EXPECT_EQ(end.catches[0].signature, "found 100");
    EXPECT_EQ(end.progress.schedules, 101U) << jobs;
    EXPECT_EQ(end.progress.points, points_up_to(100)) << jobs;
    EXPECT_NEAR(static_cast<double>(end.progress.distinct), 101, 1) << jobs;
    digests.insert(end.progress.digest);
  }
  EXPECT_EQ(digests.size(), 1U);
}

TEST(Workers, CountAllWhereTheyKeepGoing) {
  std::set<std::uint64_t> digests;
  for (const std::uint32_t jobs : {1U, 3U}) {
    Schedules schedules;
    schedules.on = [](std::uint64_t ordinal, Verdict& verdict) {
      verdict.found = ordinal == 100 || ordinal == 117;
      verdict.signature = "found " + std::to_string(ordinal);
    };
    WorkerPlan plan = schedules.plan(jobs);
    plan.stop_at_first = false;
    const SearchEnd end = run_workers(plan);
    EXPECT_EQ(end.catches.size(), 2U);
    EXPECT_EQ(end.progress.schedules, 400U);
    EXPECT_EQ(end.progress.points, points_up_to(399));
    digests.insert(end.progress.digest);
  }
  EXPECT_EQ(digests.size(), 1U);
}

TEST(Workers, GoOnWhereOneWasKilledFromOutside) {
  Schedules undisturbed;
  const SearchEnd expected = run_workers(undisturbed.plan(1));
  for (const int signal : {SIGKILL, SIGTERM}) {
    for (const std::uint64_t at : {0U, 5U, 101U, 399U}) {
      const SharedMemory<std::atomic<int>> times;
      Schedules schedules;
      schedules.on = [&](std::uint64_t ordinal, Verdict&) {
        if (ordinal == at && ++*times == 1) raise(signal);
      };
      const SearchEnd end = run_workers(schedules.plan(2));
      EXPECT_TRUE(end.catches.empty()) << end.catches[0].message;
      EXPECT_EQ(end.progress.digest, expected.progress.digest) << at;
      EXPECT_EQ(end.progress.schedules, 400U);
      EXPECT_EQ(end.progress.points, expected.progress.points);
      const std::string worker = std::to_string(at / kRound % 2);
      EXPECT_EQ(schedules.said,
                std::vector{"worker " + worker + " was killed by signal " + std::to_string(signal) +
                            " and does not die of it again; gone on"});
    }
  }
}

// What one of them tells before it is killed is told again.
TEST(Workers, FindWhatIsFoundWhereOneWasKilled) {
  const SharedMemory<std::atomic<int>> times;
  Schedules schedules;
  schedules.on = [&](std::uint64_t ordinal, Verdict& verdict) {
    if (ordinal == 70 && ++*times == 1) raise(SIGKILL);
    verdict.found = ordinal == 70;
    verdict.signature = "found";
  };
  const SearchEnd end = run_workers(schedules.plan(3));
  ASSERT_EQ(end.catches.size(), 1U);
  EXPECT_EQ(end.catches[0].signature, "found");
  EXPECT_EQ(end.catches[0].since, 64U);
  EXPECT_EQ(end.progress.schedules, 71U);
  EXPECT_EQ(schedules.said.size(), 1U);
}

TEST(Workers, DieOfWhatKillsThemEachTime) {
  for (const int signal : {SIGKILL, SIGSEGV}) {
    const SharedMemory<std::atomic<int>> times;
    Schedules schedules;
    schedules.on = [&](std::uint64_t ordinal, Verdict&) {
      if (ordinal != 40) return;
      ++*times;
      std::signal(SIGSEGV, SIG_DFL);
      raise(signal);
    };
    const SearchEnd end = run_workers(schedules.plan(2));
    ASSERT_EQ(end.catches.size(), 1U);
    EXPECT_EQ(end.catches[0].signature, "crash " + signal_name(signal));
    EXPECT_EQ(end.catches[0].ordinal, 40U);
    EXPECT_EQ(end.progress.schedules, 40U);
    EXPECT_EQ(*times, signal == SIGKILL ? 2 : 1);
    EXPECT_EQ(end.catches[0].killed_from_outside, signal == SIGKILL);
    EXPECT_EQ(end.catches[0].message.starts_with("killed from outside by signal 9"),
              signal == SIGKILL)
        << end.catches[0].message;
    EXPECT_TRUE(schedules.said.empty());
  }
}

TEST(Child, IsRunAgainWhereItWasKilledFromOutside) {
  const SharedMemory<std::atomic<int>> times;
  const auto dies = [&](int of, int most) {
    return [&times, of, most] {
      if (++*times <= most) raise(of);
      return std::string{"well"};
    };
  };
  EXPECT_EQ(run_in_child(dies(SIGKILL, 1), 10).bytes, "well");
  EXPECT_EQ(*times, 2);
  *times = 0;
  EXPECT_EQ(death_of(run_in_child(dies(SIGKILL, 9), 10)), "Killed");
  EXPECT_EQ(*times, 2);
  *times = 0;
  EXPECT_EQ(death_of(run_in_child(dies(SIGABRT, 9), 10)), "Aborted");
  EXPECT_EQ(*times, 1);
}

}   // namespace
}   // namespace program
