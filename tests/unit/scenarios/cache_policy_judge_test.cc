// The judge of caches and their policies: each rule is broken once, and a life that keeps them all
// finds nothing.
#include <string>

#include <gtest/gtest.h>

#include "engine/io/prison.h"
#include "scenarios/cache/cells.h"
#include "scenarios/cache/policy_judge.h"

namespace scenarios::cache {

namespace {

using engine::cache::CacheBlock;
using engine::cache::Decision;
using engine::cache::Hit;
using engine::cache::MapRequest;
using engine::cache::Miss;
using engine::cache::New;
using engine::cache::OriginBlock;
using engine::cache::Replace;
using engine::cache::WouldBlock;

constexpr OriginBlock kX{7};
constexpr OriginBlock kY{9};
constexpr CacheBlock kPlace{0};

class CachePolicyJudgeTest : public ::testing::Test {
 protected:
  CachePolicyJudgeTest() : cells_{[this](OriginBlock block) { judge_.released(block, found_); }} {}

  void tell(engine::OpKind op, std::uint64_t b, std::uint64_t c = 0) {
    const auto kind = static_cast<std::uint64_t>(engine::io::CellKind::origin_blocks) << 32U;
    cells_.event({.op = op, .object = nullptr, .where = {}, .a = kind, .b = b, .c = c});
  }
  void hold(OriginBlock block) { tell(engine::OpKind::cell_detain, block.value(), 1); }
  void wait_behind(OriginBlock block) { tell(engine::OpKind::cell_detain, block.value(), 0); }
  void release(OriginBlock block) { tell(engine::OpKind::cell_release, block.value()); }
  void commit() { tell(engine::OpKind::commit_end, static_cast<std::uint64_t>(engine::Errc::ok)); }

  void map(OriginBlock block, const Decision& decision,
           std::optional<OriginBlock> granted = std::nullopt) {
    judge_.mapped({.block = block,
                   .wait = engine::cache::Wait::allowed,
                   .migrate = engine::cache::Migrate::allowed},
                  decision, granted, found_);
  }
  // X is in the place, and nobody holds anything.
  void cache_x() {
    hold(kX);
    map(kX, New{kPlace});
    release(kX);
  }
  // Both cells are held, as the migration would.
  void replace_x_by_y() {
    hold(kY);
    hold(kX);
    map(kY, Replace{kX, kPlace}, kX);
  }
  [[nodiscard]] std::string kinds() const {
    std::string all;
    for (const checkers::Finding& finding : found_.list())
      all += (all.empty() ? "" : ", ") + finding.kind;
    return all;
  }

  checkers::Findings found_;
  CacheCells cells_;
  CachePolicyJudge judge_{cells_};
};

}   // namespace

TEST_F(CachePolicyJudgeTest, FindsNothingInAnOrderlyLife) {
  cache_x();
  replace_x_by_y();
  commit();
  release(kX);
  commit();
  release(kY);
  hold(kX);
  map(kX, Miss{});
  release(kX);
  hold(kY);
  map(kY, Hit{kPlace});
  judge_.set_dirty(kY, found_);
  release(kY);
  judge_.writeback({kY, kPlace}, found_);
  hold(kY);
  judge_.removing(kY, found_);
  release(kY);
  EXPECT_EQ(kinds(), "");
  EXPECT_TRUE(judge_.mappings().empty());
  EXPECT_EQ(judge_.promotions(), 2U);
  EXPECT_EQ(judge_.replacements(), 1U);
}

TEST_F(CachePolicyJudgeTest, WantsTheCellOfWhatIsAskedAbout) {
  wait_behind(kX);
  map(kX, Miss{});
  EXPECT_EQ(kinds(), "a cell is not held");
}

TEST_F(CachePolicyJudgeTest, WantsTheVictimsCell) {
  cache_x();
  hold(kY);
  map(kY, Replace{kX, kPlace}, kX);
  EXPECT_EQ(kinds(), "a cell is not held");
}

TEST_F(CachePolicyJudgeTest, WantsTheVictimsCellUntilTheCommit) {
  cache_x();
  replace_x_by_y();
  release(kX);
  EXPECT_EQ(kinds(), "a victim's cell is released too early");
}

TEST_F(CachePolicyJudgeTest, LetsAFailedDemotionBeRolledBack) {
  cache_x();
  replace_x_by_y();
  judge_.forcing(kY, kX, found_);
  release(kX);
  release(kY);
  EXPECT_EQ(kinds(), "");
  EXPECT_TRUE(judge_.dirty(kX));
  EXPECT_EQ(judge_.mappings().at(kX), kPlace);
}

TEST_F(CachePolicyJudgeTest, NobodyAsksAboutAVictimOnItsWayOut) {
  cache_x();
  replace_x_by_y();
  map(kX, Miss{});
  EXPECT_EQ(kinds(), "a victim is asked about");
}

TEST_F(CachePolicyJudgeTest, WantsVictimsThatAreThereAndWereGranted) {
  hold(kX);
  hold(kY);
  map(kY, Replace{kX, kPlace});
  EXPECT_EQ(kinds(), "a policy breaks its contract, a policy breaks its contract");
}

TEST_F(CachePolicyJudgeTest, AGrantedCellMustBeUsed) {
  cache_x();
  hold(kY);
  hold(kX);
  map(kY, Miss{}, kX);
  EXPECT_EQ(kinds(), "a policy breaks its contract");
}

TEST_F(CachePolicyJudgeTest, WantsOneBlockAPlaceAndOnePlaceABlock) {
  cache_x();
  hold(kX);
  hold(kY);
  map(kY, New{kPlace});
  map(kX, Miss{});
  EXPECT_EQ(kinds(), "a policy breaks its contract, a policy breaks its contract");
}

TEST_F(CachePolicyJudgeTest, SpeaksOfDirtinessOnlyOfWhatIsThere) {
  judge_.set_dirty(kX, found_);
  EXPECT_EQ(kinds(), "the policy is told of what it does not have");
}

TEST_F(CachePolicyJudgeTest, WritesBackOnlyWhatIsDirty) {
  cache_x();
  judge_.writeback({kX, kPlace}, found_);
  EXPECT_EQ(kinds(), "a policy breaks its contract");
}

}   // namespace scenarios::cache
