#include "checkers/pool_mode.h"

#include <chrono>
#include <string>

#include <gtest/gtest.h>

namespace checkers {
namespace {

using namespace std::chrono_literals;

std::string change(std::uint64_t from, std::uint64_t to, bool may_fail) {
  PoolModeJudge judge{{.metadata_may_fail = may_fail}};
  Findings findings;
  judge.changed(from, to, "test", engine::Nanos{0}, findings);
  return findings.empty() ? "" : findings.list().front().kind;
}

// Out of space from 10 s to 30 s, if not longer; a write that began at `begun` is refused at `now`.
std::string refusal(engine::Nanos begun, engine::Nanos now, std::chrono::seconds timeout) {
  PoolModeJudge judge{{.no_space_timeout = timeout}};
  Findings findings;
  judge.changed(0, 1, "test", 10s, findings);
  if (now > 30s) judge.changed(1, 0, "test", 30s, findings);
  judge.refused(begun, now, findings);
  return findings.empty() ? "" : findings.list().front().kind;
}

std::string rest(std::string_view status) {
  PoolModeJudge judge{{}};
  Findings findings;
  judge.at_rest(status, findings);
  return findings.empty() ? "" : findings.list().front().kind;
}

TEST(PoolModeJudge, NothingLeavesFail) {
  EXPECT_EQ(change(4, 0, true), "forbidden change of mode");
  EXPECT_EQ(change(0, 4, true), "");
}

TEST(PoolModeJudge, RunningOutOfDataSpaceIsNoFailure) {
  EXPECT_EQ(change(0, 1, false), "");
  EXPECT_EQ(change(1, 0, false), "");
  EXPECT_EQ(change(1, 3, false), "degraded without a fault");
  EXPECT_EQ(change(1, 3, true), "");
}

// Small metadata may run out in the middle of a change; not any more when much has been added.
TEST(PoolModeJudge, MetadataThatHasGrownIsNoExcuse) {
  for (const bool heals : {false, true}) {
    PoolModeJudge judge{{.metadata_may_fail = true, .growth_heals = heals}};
    const auto degraded = [&] {
      Findings findings;
      judge.changed(0, 3, "test", engine::Nanos{0}, findings);
      return !findings.empty();
    };
    Findings none;
    EXPECT_FALSE(degraded());
    judge.begin_anew();
    judge.changed(0, 2, "test", engine::Nanos{0}, none);
    judge.changed(2, 0, "test", engine::Nanos{0}, none);
    EXPECT_TRUE(none.empty());
    EXPECT_EQ(degraded(), heals);
    judge.begin_anew();
    EXPECT_FALSE(degraded()) << "that was another pool";
  }
}

TEST(PoolModeJudge, WritesWaitForSpaceAsLongAsThePoolDoes) {
  EXPECT_EQ(refusal(12s, 15s, 20s), "refused before its time");
  EXPECT_EQ(refusal(12s, 30s, 20s), "");
  EXPECT_EQ(refusal(29s, 30s, 20s), "");                          // it had been out for long
  EXPECT_EQ(refusal(12s, 31s, 20s), "");                          // that was then
  EXPECT_EQ(refusal(31s, 40s, 20s), "refused before its time");   // it has space again
  EXPECT_EQ(refusal(12s, 30s, 0s), "refused before its time");    // it waits for ever
}

TEST(PoolModeJudge, WhoWaitsForEverGivesWayToASuspendOrWhoStopsTheQueueing) {
  const auto refused_at = [](PoolModeJudge& judge, engine::Nanos begun, engine::Nanos now) {
    Findings findings;
    judge.refused(begun, now, findings);
    return !findings.empty();
  };
  PoolModeJudge judge{{}};
  Findings none;
  judge.changed(0, 1, "test", 10s, none);
  EXPECT_TRUE(refused_at(judge, 12s, 15s));
  judge.suspend_begins();
  EXPECT_FALSE(refused_at(judge, 12s, 20s));
  judge.suspend_ends(20s);
  EXPECT_FALSE(refused_at(judge, 12s, 21s));
  EXPECT_TRUE(refused_at(judge, 21s, 30s));
  judge.queueing_stopped();
  EXPECT_FALSE(refused_at(judge, 21s, 30s));
  judge.begin_anew();
  EXPECT_TRUE(refused_at(judge, 21s, 30s)) << "that was another pool";

  PoolModeJudge patient{{.no_space_timeout = 60s}};
  patient.suspend_begins();
  EXPECT_TRUE(refused_at(patient, 12s, 20s)) << "the time-out ends the wait";
}

TEST(PoolModeJudge, FreeSpaceEndsTheWaitForIt) {
  EXPECT_EQ(rest("0 512 thin-pool 0 10/64 3/4 - out_of_data_space discard_passdown "
                 "queue_if_no_space - 16 "),
            "stuck out of data space");
  EXPECT_EQ(rest("0 10/64 4/4 - out_of_data_space discard_passdown queue_if_no_space - 16 "), "");
  EXPECT_EQ(rest("0 10/64 3/4 - rw discard_passdown queue_if_no_space - 16 "), "");
  EXPECT_EQ(rest("0 10/64 3/4 - ro discard_passdown queue_if_no_space needs_check 16 "),
            "needs_check without a fault");
  EXPECT_EQ(rest("Fail"), "");
}

}   // namespace
}   // namespace checkers
