// Bytes that nobody wrote are found wherever they begin, and others are let through.
#include "checkers/stale_bytes.h"

#include <array>

#include <gtest/gtest.h>

namespace checkers {
namespace {

using Block = std::array<std::byte, 4096>;

Findings judge(const Block& block) {
  Findings findings;
  judge_stale_bytes("metadata", engine::Sector{8}, block, findings);
  return findings;
}

TEST(StaleBytes, AreFoundWhereverTheyBegin) {
  for (const std::size_t begin : {0, 1, 7, 8, 2043, 4081}) {
    Block block{};
    EXPECT_TRUE(judge(block).empty());
    mark_stale(engine::MutableBytes{block}.subspan(begin, 15));
    const Findings findings = judge(block);
    ASSERT_EQ(findings.list().size(), 1U) << begin;
    EXPECT_EQ(findings.list()[0].checker, "stale_bytes");
    EXPECT_EQ(findings.list()[0].kind, "metadata");
    EXPECT_NE(findings.list()[0].message.find("metadata, sector 8"), std::string::npos);
  }
}

TEST(StaleBytes, AFewByChanceAreNotStale) {
  Block block{};
  mark_stale(engine::MutableBytes{block}.subspan(1, 7));
  EXPECT_TRUE(judge(block).empty());
}

}   // namespace
}   // namespace checkers
