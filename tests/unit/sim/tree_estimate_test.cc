// What random walks tell of the number of leaves of a tree, where that is known.
#include "sim/tree_estimate.h"

#include <cmath>

#include <gtest/gtest.h>

#include "sim/rng.h"

namespace sim {
namespace {

TEST(TreeEstimate, IsTheMeanOfWhatWalksCameTo) {
  TreeEstimate estimate;
  EXPECT_EQ(estimate.estimated().number, 0);
  estimate.add(2);
  EXPECT_EQ(estimate.estimated().number, 2);
  EXPECT_GT(estimate.estimated().high, 1e300);
  EXPECT_TRUE(estimate.is_wide());
  estimate.add(6);
  estimate.add(1);
  EXPECT_EQ(estimate.estimated().number, 3);
  EXPECT_LT(estimate.estimated().low, 3);
  EXPECT_GT(estimate.estimated().high, 3);
}

TEST(TreeEstimate, IsCertainWhereAllWalksAgree) {
  TreeEstimate estimate;
  for (int i = 0; i < 5; ++i)
    estimate.add(720);
  EXPECT_EQ(estimate.estimated().number, 720);
  EXPECT_NEAR(estimate.estimated().low, 720, 1e-6);
  EXPECT_NEAR(estimate.estimated().high, 720, 1e-6);
  EXPECT_FALSE(estimate.is_wide());
}

// Each walk has `levels` places of 1 to `most` ways: the tree has ((1 + most) / 2) ^ levels leaves.
TreeEstimate walk(Rng& rng, int walks, int levels, std::uint32_t most) {
  TreeEstimate estimate;
  for (int i = 0; i < walks; ++i) {
    double leaves = 1;
    for (int level = 0; level < levels; ++level)
      leaves *= 1 + rng.below(most);
    estimate.add(leaves);
  }
  return estimate;
}

// However much walks differ; the mean of a hundred is too low then, nearly always.
TEST(TreeEstimate, ItsRangeHasTheNumberNineteenTimesOfTwenty) {
  constexpr int kTimes = 400;
  struct Tree {
    int levels;
    std::uint32_t most;
    bool is_wide;
  };
  for (const auto& [levels, most, is_wide] : {Tree{3, 2, false}, {10, 3, true}, {20, 9, true}}) {
    Rng rng{41};
    const double leaves = std::pow((1 + most) / 2.0, levels);
    int in_range = 0;
    int too_low = 0;
    int narrow = 0;
    for (int i = 0; i < kTimes; ++i) {
      const TreeEstimate estimate = walk(rng, 100, levels, most);
      const Estimated estimated = estimate.estimated();
      in_range += estimated.low <= leaves && leaves <= estimated.high ? 1 : 0;
      too_low += estimated.number < leaves ? 1 : 0;
      EXPECT_EQ(estimate.is_wide(), is_wide) << levels;
      narrow += estimated.high < estimated.low * 1000 ? 1 : 0;
    }
    EXPECT_GT(in_range, kTimes * 9 / 10) << levels;
    EXPECT_GT(narrow, kTimes / 2) << levels << ": they say too little";
    EXPECT_GT(too_low, levels == 20 ? kTimes * 7 / 10 : 0) << levels;
  }
}

TEST(TreeEstimate, GoesOnFromWhatAnotherProcessTold) {
  Rng rng{42};
  TreeEstimate all = walk(rng, 10, 5, 4);
  TreeEstimate told{all.told()};
  for (TreeEstimate* const each : {&all, &told})
    each->add(77);
  EXPECT_EQ(told.walks(), 11U);
  EXPECT_EQ(told.told(), all.told());
}

TEST(Estimated, ToThreeDigitsWithTheRangeWhereThatMatters) {
  EXPECT_EQ((Estimated{2, 2, 2}.text()), "2");
  EXPECT_EQ((Estimated{5040, 5040, 5040}.text()), "5040");
  EXPECT_EQ((Estimated{171'379, 98'765, 1'234'567}.text()), "171000 (98800 to 1230000)");
  EXPECT_EQ((Estimated{2.9e6, 1.1e6, 4.123e8}.text()), "2900000 (1100000 to 4.12e+08)");
}

TEST(Estimated, IsNoLessThanWasCounted) {
  Estimated estimated{10, 5, 40};
  estimated.is_at_least(20);
  EXPECT_EQ(estimated.number, 20);
  EXPECT_EQ(estimated.low, 20);
  EXPECT_EQ(estimated.high, 40);
  Estimated none{};
  none.is_at_least(20);
  EXPECT_EQ(none.number, 0);
}

}   // namespace
}   // namespace sim
