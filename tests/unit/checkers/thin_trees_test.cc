// Trees that are wrong in their structure, and held copies that are: built by hand, with reference
// counts that agree with what points where, so that only the structure gives them away.
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "checkers/image/thin_dump.h"
#include "tests/unit/checkers/pool_builder.h"
#include "tests/unit/checkers/test_image.h"

namespace checkers::image::test {
namespace {

using Roots = std::pair<std::uint64_t, std::uint64_t>;

ThinReport check_one(PoolBuilder& pool, std::uint64_t root, std::uint64_t mapped) {
  return check(pool.finish(pool.devices({{0, root, mapped}})));
}

TEST(ThinTrees, ACycleEndsInAFinding) {
  PoolBuilder pool{32, 10};
  const std::uint64_t root = pool.allocate();
  const std::uint64_t below = pool.inner({{0, root}, {5, root}}, 6);
  pool.inner_at(root, {{0, below}, {5, below}}, 6);
  const auto roots = pool.devices({{0, root, 0}});
  const TestImage image = pool.finish(roots);
  EXPECT_TRUE(has(check(image), Rule::reached_twice, Severity::fatal));
  SpanSource source{image.bytes()};
  EXPECT_FALSE(dump_thin(source).ok());
}

TEST(ThinTrees, ATreeTooDeepEndsInAFinding) {
  PoolBuilder pool{128, 10};
  std::uint64_t root = pool.leaf({{0, 0}, {1, 1}}, 6);
  for (int i = 0; i < 60; ++i)
    root = pool.inner({{0, root}}, 6);
  const TestImage image = pool.finish(pool.devices({{0, root, 2}}));
  const ThinReport report = check(image);
  EXPECT_TRUE(has(report, Rule::node_shape, Severity::fatal)) << text_of(report);
  SpanSource source{image.bytes()};
  EXPECT_FALSE(dump_thin(source).ok());
}

// A lattice: each level points twice at the next, so that paths double with every level.
TEST(ThinTrees, ALatticeCostsItsNodesAndNotItsPaths) {
  PoolBuilder pool{128, 10};
  std::uint64_t root = pool.leaf({{0, 0}, {1, 1}}, 6);
  for (int i = 0; i < 30; ++i)
    root = pool.inner({{0, root}, {1, root}}, 6);
  const TestImage image = pool.finish(pool.devices({{0, root, 2}}));
  const ThinReport report = check(image);
  EXPECT_TRUE(has(report, Rule::reached_twice, Severity::fatal)) << text_of(report);
  EXPECT_LT(report.blocks_read, 200U);
  SpanSource source{image.bytes()};
  EXPECT_FALSE(dump_thin(source).ok());
}

TEST(ThinTrees, AChildBelowItsParentsKeyIsFound) {
  PoolBuilder pool{32, 10};
  const auto a = pool.leaf({{0, 0}, {1, 1}}, 6);
  const auto b = pool.leaf({{5, 2}, {6, 3}}, 6);
  const ThinReport report = check_one(pool, pool.inner({{0, a}, {6, b}}, 6), 4);
  EXPECT_TRUE(has(report, Rule::node_shape, Severity::fatal)) << text_of(report);
}

TEST(ThinTrees, AParentsKeyMayBeLowerThanItsChilds) {
  PoolBuilder pool{32, 10};
  const auto a = pool.leaf({{2, 0}, {3, 1}}, 6);
  const auto b = pool.leaf({{7, 2}, {8, 3}}, 6);
  const ThinReport report = check_one(pool, pool.inner({{0, a}, {5, b}}, 6), 4);
  EXPECT_TRUE(report.findings.empty()) << text_of(report);
}

TEST(ThinTrees, AChildReachingIntoItsSiblingsKeysIsFound) {
  PoolBuilder pool{32, 10};
  const auto a = pool.leaf({{0, 0}, {5, 1}}, 6);   // 5 belongs to b by the parent's keys
  const auto b = pool.leaf({{7, 2}, {8, 3}}, 6);
  const ThinReport report = check_one(pool, pool.inner({{0, a}, {5, b}}, 6), 4);
  EXPECT_TRUE(has(report, Rule::node_shape, Severity::fatal)) << text_of(report);
}

TEST(ThinTrees, AGrandchildReachingIntoAnUnclesKeysIsFound) {
  PoolBuilder pool{32, 20};
  const auto a = pool.leaf({{0, 0}, {1, 1}}, 6);
  const auto b = pool.leaf({{5, 2}, {12, 3}}, 6);
  const auto c = pool.leaf({{13, 4}, {14, 5}}, 6);
  const auto d = pool.leaf({{20, 6}, {21, 7}}, 6);
  const auto left = pool.inner({{0, a}, {5, b}}, 6);
  const auto right = pool.inner({{10, c}, {20, d}}, 6);
  const ThinReport report = check_one(pool, pool.inner({{0, left}, {10, right}}, 6), 8);
  EXPECT_TRUE(has(report, Rule::node_shape, Severity::fatal)) << text_of(report);
}

TEST(ThinTrees, ASharedNodeIsHeldToTheKeysOfEachParent) {
  PoolBuilder pool{32, 10};
  const auto a = pool.leaf({{0, 0}, {1, 1}}, 6);
  const auto b = pool.leaf({{5, 2}, {6, 3}}, 6);
  const auto one = pool.inner({{0, a}, {5, b}}, 6);
  const auto other = pool.inner({{0, a}, {6, b}}, 6);   // 5 would be a's by these keys
  pool.set_time(1);
  const auto roots = pool.devices({{0, one, 4, 0, 0, 1}, {1, other, 4, 0, 0, 1}});
  const ThinReport report = check(pool.finish(roots));
  EXPECT_TRUE(has(report, Rule::node_shape, Severity::fatal)) << text_of(report);
}

TEST(ThinTrees, LeavesAtDifferentDepthsAreFound) {
  PoolBuilder pool{32, 10};
  const auto a = pool.leaf({{0, 0}, {1, 1}}, 6);
  const auto b = pool.leaf({{5, 2}, {6, 3}}, 6);
  const auto c = pool.leaf({{9, 4}, {10, 5}}, 6);
  const auto left = pool.inner({{0, a}, {5, b}}, 6);
  const ThinReport report = check_one(pool, pool.inner({{0, left}, {9, c}}, 6), 6);
  EXPECT_TRUE(has(report, Rule::node_shape, Severity::fatal)) << text_of(report);
}

TEST(ThinTrees, SiblingsOfDifferentFanOutAreFound) {
  PoolBuilder pool{32, 10};
  const auto a = pool.leaf({{0, 0}, {1, 1}}, 6);
  const auto b = pool.leaf({{5, 2}, {6, 3}, {7, 4}}, 9);
  const ThinReport report = check_one(pool, pool.inner({{0, a}, {5, b}}, 6), 5);
  EXPECT_TRUE(has(report, Rule::node_shape, Severity::fatal)) << text_of(report);
}

TEST(ThinTrees, AnInternalNodeWithoutChildrenIsFound) {
  PoolBuilder pool{32, 10};
  const ThinReport report = check_one(pool, pool.inner({}, 6), 0);
  EXPECT_TRUE(has(report, Rule::node_shape, Severity::fatal)) << text_of(report);
}

TEST(ThinTrees, AnUnderfullNodeIsRepairable) {
  PoolBuilder pool{32, 10};
  const auto a = pool.leaf({{0, 0}}, 6);
  const auto b = pool.leaf({{5, 2}, {6, 3}}, 6);
  const ThinReport report = check_one(pool, pool.inner({{0, a}, {5, b}}, 6), 3);
  EXPECT_TRUE(has(report, Rule::node_shape, Severity::repairable)) << text_of(report);
  EXPECT_EQ(report.findings.total(), 1U) << text_of(report);
}

TEST(ThinTrees, ARootOfOneChildIsLegal) {
  PoolBuilder pool{32, 10};
  const ThinReport report =
      check_one(pool, pool.inner({{0, pool.leaf({{0, 0}, {1, 1}}, 6)}}, 6), 2);
  EXPECT_TRUE(report.findings.empty()) << text_of(report);
}

TEST(ThinTrees, ASharedSubtreeNewerThanItsSnapshotIsUnsound) {
  for (const std::uint32_t time : {0U, 1U}) {
    PoolBuilder pool{32, 10};
    const auto root = pool.leaf({{0, 0, 0}, {1, 1, time}}, 6);
    pool.set_time(2);
    const auto roots = pool.devices({{0, root, 2, 0, 0, 2}, {1, root, 2, 0, 1, 1}});
    const ThinReport report = check(pool.finish(roots));
    EXPECT_EQ(has(report, Rule::sharing, Severity::fatal), time == 1) << text_of(report);
  }
}

TEST(ThinTrees, TimesAreJudgedThroughEveryLevelOfASharedSubtree) {
  for (const std::uint32_t time : {0U, 1U}) {
    PoolBuilder pool{32, 10};
    const auto a = pool.leaf({{0, 0, 0}, {1, 1, 0}}, 6);
    const auto b = pool.leaf({{5, 2, time}, {6, 3, 0}}, 6);
    const auto c = pool.leaf({{9, 4, 0}, {10, 5, 0}}, 6);
    const auto root = pool.inner({{0, pool.inner({{0, a}, {5, b}, {9, c}}, 6)}}, 6);
    pool.set_time(1);
    const auto roots = pool.devices({{0, root, 6, 0, 0, 1}, {1, root, 6, 0, 1, 1}});
    const ThinReport report = check(pool.finish(roots));
    EXPECT_EQ(has(report, Rule::sharing, Severity::fatal), time == 1) << text_of(report);
  }
}

TEST(ThinTrees, ASharedSubtreesLowestLevelIsHeldToTheKeysOfEachParent) {
  PoolBuilder pool{32, 10};
  const auto a = pool.leaf({{0, 0}, {1, 1}}, 6);
  const auto b = pool.leaf({{5, 2}, {12, 3}}, 6);
  const auto c = pool.leaf({{20, 4}, {21, 5}}, 6);
  const auto d = pool.leaf({{30, 6}, {31, 7}}, 6);
  const auto left = pool.inner({{0, a}, {5, b}}, 6);   // its own keys stay below 10, b's do not
  const auto right = pool.inner({{20, c}, {30, d}}, 6);
  const auto one = pool.inner({{0, left}, {20, right}}, 6);
  const auto other = pool.inner({{0, left}, {10, right}}, 6);
  pool.set_time(1);
  const auto roots = pool.devices({{0, one, 8, 0, 0, 1}, {1, other, 8, 0, 0, 1}});
  const ThinReport report = check(pool.finish(roots));
  EXPECT_TRUE(has(report, Rule::node_shape, Severity::fatal)) << text_of(report);
}

TEST(ThinTrees, AHeldMappingFromTheHeldCopysFutureIsFound) {
  for (const std::uint32_t time : {0U, 1U}) {
    PoolBuilder pool{32, 10};
    const auto a = pool.leaf({{0, 0, time}, {1, 1, 0}}, 6);
    const auto b = pool.leaf({{5, 2, 0}, {6, 3, 0}}, 6);
    const auto root = pool.inner({{0, a}, {5, b}}, 6);
    const auto roots = pool.devices({{0, root, 4, 0, 0, 0}});
    pool.set_time(1);
    pool.hold(roots, 0);
    const ThinReport report = check(pool.finish(roots));
    EXPECT_EQ(has(report, Rule::times, Severity::fatal), time == 1) << text_of(report);
  }
}

TEST(ThinTrees, TheHeldCopyKeepsNoSharingRules) {
  PoolBuilder pool{32, 10};
  const auto old_root = pool.leaf({{0, 0, 0}}, 6);
  const auto root = pool.leaf({{0, 0, 0}, {1, 1, 0}}, 6);
  pool.hold(pool.devices({{0, old_root, 1}}), 0);
  const ThinReport report = check(pool.finish(pool.devices({{0, root, 2}})));
  EXPECT_TRUE(report.findings.empty()) << text_of(report);
}

TEST(ThinTrees, CountsOfBlocksInManyLeavesAreExact) {
  PoolBuilder pool{512, 10};
  std::vector<DeviceRecord> records;
  for (std::uint64_t id = 0; id < 120; ++id) {
    records.push_back({id, pool.leaf({{4, 7, 0}, {5, 8, 0}}, 6), 2, 0, 0, 1});
  }
  for (std::uint64_t id = 120; id < 126; ++id) {
    records.push_back({id, pool.leaf({{4, 7, 0}}, 6), 1, 0, 0, 1});
  }
  pool.set_time(1);
  const TestImage image = pool.finish(pool.devices(records));
  EXPECT_TRUE(check(image).findings.empty()) << text_of(check(image));
}

TEST(ThinTrees, CountsBeyondAByteAreExact) {
  PoolBuilder pool{32, 10};
  std::vector<Mapping> mappings;
  for (std::uint64_t i = 0; i < 250; ++i)
    mappings.push_back({i, 3, 0});
  const auto a = pool.leaf(mappings);
  const auto b = pool.leaf(mappings);
  pool.set_time(1);
  TestImage image = pool.finish(pool.devices({{0, a, 250, 0, 0, 1}, {1, b, 250, 0, 0, 1}}));
  const ThinReport report = check(image);
  EXPECT_EQ(report.exit_code(), 0) << text_of(report);   // but for the warning of rule 18
  EXPECT_TRUE(has(report, Rule::shared_identity, Severity::warn));
  image.set32(PoolBuilder::kDataOverflow, 2720, 499);
  EXPECT_TRUE(has(check(image), Rule::data_count_low, Severity::fatal));
}

class HeldCopy : public testing::Test {
 protected:
  HeldCopy() {
    const auto root = pool_.leaf({{0, 0, 0}, {1, 1, 0}}, 6);
    roots_ = pool_.devices({{5, root, 2, 0, 0, 0}});
    held_ = pool_.hold(roots_, 0);   // unchanged since: it shares the trees' very roots
    image_ = pool_.finish(roots_);
  }

  PoolBuilder pool_{32, 10};
  Roots roots_;
  std::uint64_t held_{0};
  TestImage image_{0};
};

TEST_F(HeldCopy, OfAnUnchangedPoolIsRight) {
  const ThinReport report = check(image_);
  EXPECT_TRUE(report.findings.empty()) << text_of(report);
  EXPECT_EQ(report.held_devices, report.devices);
}

TEST_F(HeldCopy, IsHeldToItsOwnRules) {
  const std::vector<std::pair<std::size_t, std::uint32_t>> breakages{
      {32, 7},                                    // magic
      {56, 9},                                    // a held root of its own
      {64, 1},    {88, 1},  {192, 1}, {216, 1},   // space map roots
      {336, 256}, {340, 9}, {44, 1},  {352, 1}, {356, 1}, {360, 1}, {4, 4}};
  for (const auto& [at, value] : breakages) {
    TestImage image = image_;
    image.set32(held_, at, value);
    const ThinReport report = check(image);
    EXPECT_TRUE(has(report, Rule::held_root, Severity::fatal)) << at << "\n" << text_of(report);
  }
  TestImage image = image_;
  image.set64(held_, 8, 0);
  EXPECT_TRUE(has(check(image), Rule::block_identity, Severity::fatal));
  image = image_;
  image.set64(held_, 320, roots_.first);
  EXPECT_TRUE(has(check(image), Rule::block_identity, Severity::fatal));
}

TEST_F(HeldCopy, CountsForItsRoots) {
  image_.set_pair(PoolBuilder::kMetadataBitmap, roots_.second, 1);
  EXPECT_TRUE(has(check(image_), Rule::metadata_count_low, Severity::fatal));
}

}   // namespace
}   // namespace checkers::image::test
