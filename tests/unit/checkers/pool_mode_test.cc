#include "checkers/pool_mode.h"

#include <gtest/gtest.h>

namespace checkers {
namespace {

std::string change(std::uint64_t from, std::uint64_t to, bool may_fail) {
  PoolModeJudge judge{{.metadata_may_fail = may_fail}};
  Findings findings;
  judge.changed(from, to, "test", findings);
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
