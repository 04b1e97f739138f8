// One violation each of every rule: the checker must name the rule and its severity, and the pools
// that are broken are otherwise right.
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/checkers/pool_builder.h"
#include "tests/unit/checkers/test_image.h"

namespace checkers::image::test {
namespace {

struct Violation {
  const char* what;
  Rule rule;
  Severity severity;
  std::function<void(TestImage&)> breakage;
};

// Blocks of the worked example.
constexpr std::uint64_t kOverflowMeta = 2;
constexpr std::uint64_t kOverflowData = 5;
constexpr std::uint64_t kLeaf8 = 27;
constexpr std::uint64_t kDataBitmap = 35;
constexpr std::uint64_t kMetaBitmap = 36;
constexpr std::uint64_t kTop = 37;
constexpr std::uint64_t kLeaf7 = 38;
constexpr std::uint64_t kDetails = 39;
constexpr std::uint64_t kDataIndex = 40;
constexpr std::uint64_t kIndex = 41;

void overflow_entry(TestImage& image, std::uint64_t tree, std::uint64_t key, std::uint32_t value) {
  image.change(tree, [&](TestImage& i) {
    i.put32(tree, 16, 1).put64(tree, 32, key).put32(tree, 2720, value);
  });
}

std::vector<Violation> violations() {
  using enum Severity;
  return {
      {"superblock checksum", Rule::superblock_checksum, fatal,
       [](TestImage& i) { i.put32(0, 0, 1); }},
      {"magic", Rule::superblock_fields, fatal, [](TestImage& i) { i.set64(0, 32, 1); }},
      {"superblock's number", Rule::superblock_fields, fatal,
       [](TestImage& i) { i.set64(0, 8, 1); }},
      {"unknown flag", Rule::superblock_fields, fatal, [](TestImage& i) { i.set32(0, 4, 2); }},
      {"data block size 0", Rule::superblock_fields, fatal,
       [](TestImage& i) { i.set32(0, 336, 0); }},
      {"data block size 129", Rule::superblock_fields, fatal,
       [](TestImage& i) { i.set32(0, 336, 129); }},
      {"data block size too large", Rule::superblock_fields, fatal,
       [](TestImage& i) { i.set32(0, 336, 2097152 + 128); }},
      {"metadata block size", Rule::superblock_fields, fatal,
       [](TestImage& i) { i.set32(0, 340, 16); }},
      {"compat flag", Rule::superblock_fields, fatal, [](TestImage& i) { i.set32(0, 352, 1); }},
      {"ro flag", Rule::superblock_fields, fatal, [](TestImage& i) { i.set32(0, 356, 1); }},
      {"incompat flag", Rule::superblock_fields, fatal, [](TestImage& i) { i.set32(0, 360, 1); }},
      {"version", Rule::superblock_fields, warn, [](TestImage& i) { i.set32(0, 40, 3); }},
      {"bytes behind the superblock", Rule::superblock_fields, warn,
       [](TestImage& i) { i.set32(0, 4092, 1); }},
      {"size at format beyond the map", Rule::superblock_fields, warn,
       [](TestImage& i) { i.set64(0, 344, 1025); }},
      {"map larger than device", Rule::block_identity, fatal,
       [](TestImage& i) { i.set64(0, 192, 1025); }},
      {"pointer outside", Rule::block_identity, fatal,
       [](TestImage& i) { i.set64(kTop, 2048, 1024); }},
      {"node checksum", Rule::block_identity, fatal, [](TestImage& i) { i.put32(kLeaf7, 0, 1); }},
      {"bitmap checksum", Rule::block_identity, fatal,
       [](TestImage& i) { i.put32(kDataBitmap, 0, 1); }},
      {"index checksum", Rule::block_identity, fatal, [](TestImage& i) { i.put32(kIndex, 0, 1); }},
      {"a node sealed as a bitmap", Rule::block_identity, fatal,
       [](TestImage& i) { i.seal(kLeaf7, kBitmapSalt); }},
      {"node's number", Rule::block_identity, fatal, [](TestImage& i) { i.set64(kLeaf7, 8, 39); }},
      {"one block as two types", Rule::block_identity, fatal,
       [](TestImage& i) { i.set64(0, 320, kDetails); }},
      {"pointer at the superblock", Rule::block_identity, fatal,
       [](TestImage& i) { i.set64(kTop, 2048, 0); }},
      {"no node flag", Rule::node_shape, fatal, [](TestImage& i) { i.set32(kLeaf7, 4, 0); }},
      {"both node flags", Rule::node_shape, fatal, [](TestImage& i) { i.set32(kLeaf7, 4, 3); }},
      {"value size", Rule::node_shape, fatal, [](TestImage& i) { i.set32(kLeaf7, 24, 16); }},
      {"max_entries no multiple of 3", Rule::node_shape, fatal,
       [](TestImage& i) { i.set32(kLeaf7, 20, 251); }},
      {"max_entries too large", Rule::node_shape, fatal,
       [](TestImage& i) { i.set32(kLeaf7, 20, 255); }},
      {"max_entries 0", Rule::node_shape, fatal, [](TestImage& i) { i.set32(kLeaf7, 20, 0); }},
      {"more entries than fit", Rule::node_shape, fatal,
       [](TestImage& i) { i.set32(kLeaf7, 16, 253); }},
      {"keys descend", Rule::node_shape, fatal, [](TestImage& i) { i.set64(kLeaf7, 32, 10); }},
      {"keys repeat", Rule::node_shape, fatal, [](TestImage& i) { i.set64(kLeaf7, 32, 9); }},
      {"node padding", Rule::node_shape, warn, [](TestImage& i) { i.set32(kLeaf7, 28, 1); }},
      {"device only in the top tree", Rule::device_sets, fatal,
       [](TestImage& i) { i.set32(kDetails, 16, 1); }},
      {"device only in the device tree", Rule::device_sets, fatal,
       [](TestImage& i) { i.set32(kTop, 16, 1); }},
      {"device id too large", Rule::device_sets, fatal,
       [](TestImage& i) { i.set64(kTop, 40, 1 << 24).set64(kDetails, 40, 1 << 24); }},
      {"mapped blocks", Rule::mapped_blocks, repairable,
       [](TestImage& i) { i.set64(kDetails, 1040, 3); }},
      {"data block outside", Rule::data_bounds, fatal,
       [](TestImage& i) { i.set64(kLeaf7, 2048, 200ULL << 24); }},
      {"data count too low", Rule::data_count_low, fatal,
       [](TestImage& i) { i.set_pair(kDataBitmap, 1, 1); }},
      {"data block free while mapped", Rule::data_count_low, fatal,
       [](TestImage& i) { i.set_pair(kDataBitmap, 2, 0); }},
      {"data count too high", Rule::data_count_high, leak,
       [](TestImage& i) { i.set_pair(kDataBitmap, 0, 2); }},
      {"metadata count too low", Rule::metadata_count_low, fatal,
       [](TestImage& i) { i.set_pair(kMetaBitmap, 38, 0); }},
      {"the bitmap's own count", Rule::metadata_count_low, fatal,
       [](TestImage& i) { i.set_pair(kMetaBitmap, 36, 0); }},
      {"the superblock's count", Rule::metadata_count_low, fatal,
       [](TestImage& i) { i.set_pair(kMetaBitmap, 0, 0); }},
      {"metadata count too high", Rule::metadata_count_high, leak,
       [](TestImage& i) { i.set_pair(kMetaBitmap, 38, 2); }},
      {"pair 11 without entry", Rule::overflow, fatal,
       [](TestImage& i) { i.set_pair(kDataBitmap, 1, 3); }},
      {"pair 11 without entry, metadata", Rule::overflow, fatal,
       [](TestImage& i) { i.set_pair(kMetaBitmap, 2, 3); }},
      {"entry without pair 11", Rule::overflow, fatal,
       [](TestImage& i) { overflow_entry(i, kOverflowData, 1, 3); }},
      {"entry behind all pairs 11", Rule::overflow, fatal,
       [](TestImage& i) { overflow_entry(i, kOverflowMeta, 1000, 3); }},
      {"overflow value below 3", Rule::overflow, fatal,
       [](TestImage& i) {
         i.set_pair(kDataBitmap, 1, 3);
         overflow_entry(i, kOverflowData, 1, 2);
       }},
      {"overflow key outside", Rule::overflow, fatal,
       [](TestImage& i) { overflow_entry(i, kOverflowData, 200, 3); }},
      {"overflow value too high", Rule::data_count_high, leak,
       [](TestImage& i) {
         i.set_pair(kDataBitmap, 1, 3);
         overflow_entry(i, kOverflowData, 1, 3);
       }},
      {"pair behind the data device", Rule::bitmap_tail, warn,
       [](TestImage& i) { i.set_pair(kDataBitmap, 200, 1); }},
      {"last pair of a bitmap", Rule::bitmap_tail, warn,
       [](TestImage& i) { i.set_pair(kMetaBitmap, 16319, 1); }},
      {"unused field of a bitmap", Rule::bitmap_tail, warn,
       [](TestImage& i) { i.set32(kDataBitmap, 4, 1); }},
      {"data nr_allocated", Rule::space_map_totals, repairable,
       [](TestImage& i) { i.set64(0, 72, 4); }},
      {"metadata nr_allocated", Rule::space_map_totals, repairable,
       [](TestImage& i) { i.set64(0, 200, 12); }},
      {"nr_free too low", Rule::space_map_totals, repairable,
       [](TestImage& i) { i.set32(kDataIndex, 1384, 16316); }},
      {"nr_free too high", Rule::space_map_totals, repairable,
       [](TestImage& i) { i.set32(kIndex, 24, 16310); }},
      {"nr_free truncated", Rule::space_map_totals, warn,
       [](TestImage& i) { i.set32(kDataIndex, 1384, 197); }},
      {"none_free_before too high", Rule::space_map_totals, repairable,
       [](TestImage& i) { i.set32(kDataIndex, 1388, 4); }},
      {"index key", Rule::index_keys, fatal, [](TestImage& i) { i.set64(kDataIndex, 32, 1); }},
      {"no index key", Rule::index_keys, fatal, [](TestImage& i) { i.set32(kDataIndex, 16, 0); }},
      {"too many blocks for the index", Rule::index_keys, fatal,
       [](TestImage& i) { i.set64(0, 64, 16321); }},
      {"unused index entry", Rule::index_keys, warn, [](TestImage& i) { i.set32(kIndex, 32, 1); }},
      {"last index entry", Rule::index_keys, warn,
       [](TestImage& i) { i.set32(kIndex, 16 + 16 * 254 + 12, 1); }},
      {"index padding", Rule::index_keys, warn, [](TestImage& i) { i.set32(kIndex, 4, 1); }},
      {"time of 25 bits", Rule::times, fatal, [](TestImage& i) { i.set32(0, 44, 1 << 24); }},
      {"mapping from the future", Rule::times, fatal,
       [](TestImage& i) { i.set64(kLeaf7, 2048, 2U << 24 | 2); }},
      {"creation in the future", Rule::times, fatal,
       [](TestImage& i) { i.set32(kDetails, 1056, 2); }},
      {"snapshot in the future", Rule::times, fatal,
       [](TestImage& i) { i.set32(kDetails, 1060, 2); }},
      {"created after its snapshot", Rule::times, warn,
       [](TestImage& i) { i.set32(0, 44, 2).set32(kDetails, 1080, 2); }},
      {"shared block looks unshared to 7", Rule::sharing, fatal,
       [](TestImage& i) { i.set32(kDetails, 1060, 0); }},
      {"shared block looks unshared to 8", Rule::sharing, fatal,
       [](TestImage& i) { i.set64(kLeaf8, 2056, 1U << 24 | 1); }},
      {"shared at two virtual blocks", Rule::shared_identity, warn,
       [](TestImage& i) { i.set64(kLeaf8, 40, 10); }},
      {"device from a later transaction", Rule::transaction_ids, warn,
       [](TestImage& i) { i.set64(kDetails, 1048, 43); }},
      {"held root outside", Rule::block_identity, fatal,
       [](TestImage& i) { i.set64(0, 56, 5000); }},
      {"held root is no superblock", Rule::block_identity, fatal,
       [](TestImage& i) { i.set64(0, 56, 100); }},
      {"bitmap in two places", Rule::block_identity, fatal,
       [](TestImage& i) { i.set64(kDataIndex, 1376, kMetaBitmap); }},
  };
}

TEST(ThinRules, EachViolationIsFoundWithItsSeverity) {
  for (const Violation& violation : violations()) {
    TestImage image = worked_example();
    violation.breakage(image);
    const ThinReport report = check(image);
    EXPECT_TRUE(has(report, violation.rule, violation.severity)) << violation.what << ":\n"
                                                                 << text_of(report);
    if (violation.severity == Severity::warn) {
      EXPECT_EQ(report.findings.of_severity(Severity::fatal), 0U) << violation.what << ":\n"
                                                                  << text_of(report);
    } else if (violation.severity != Severity::leak) {
      EXPECT_EQ(report.exit_code(), 2) << violation.what;
    }
    for (const Finding& finding : report.findings.kept()) {
      EXPECT_NE(finding.field, "") << violation.what;
      EXPECT_NE(finding.found, "") << violation.what;
      EXPECT_NE(finding.expected, "") << violation.what;
    }
  }
}

TEST(ThinRules, ADataDeviceSmallerThanItsMapIsFound) {
  EXPECT_EQ(check(worked_example(), {.data_device_blocks = 200}).exit_code(), 0);
  EXPECT_TRUE(has(check(worked_example(), {.data_device_blocks = 199}), Rule::data_bounds,
                  Severity::fatal));
}

TEST(ThinRules, WithATreeLostNoLeakIsTold) {
  TestImage image = worked_example();
  image.put32(kLeaf7, 0, 0);   // what it referred to can no longer be counted
  const ThinReport report = check(image);
  EXPECT_FALSE(report.complete);
  EXPECT_EQ(report.findings.of_severity(Severity::leak), 0U) << text_of(report);
  EXPECT_EQ(report.findings.total(), 1U) << text_of(report);
}

TEST(ThinRules, FindingsSayWhereAndWhat) {
  TestImage image = worked_example();
  image.set64(kLeaf7, 2048, 200ULL << 24);
  const ThinReport report = check(image);
  ASSERT_FALSE(report.findings.empty());
  EXPECT_EQ(report.findings.kept()[0], (Finding{Rule::data_bounds, Severity::fatal, kLeaf7,
                                                "values[0]", "data block 200", "below 200"}));
}

TEST(ThinRules, UnsoundSharingNamesBothDevices) {
  TestImage image = worked_example();
  image.set32(kDetails, 1060, 0);
  const std::string text = text_of(check(image));
  EXPECT_NE(text.find("device 7 virtual block 9, mapped to data block 1: found time 0, expected "
                      "below 0, its snapshotted_time, as device 8 virtual block 9 maps it too"),
            std::string::npos)
      << text;
}

TEST(ThinRules, AnOverflowEntryServesOnlyItsOwnBlock) {
  TestImage image = worked_example();
  image.set_pair(kDataBitmap, 1, 3);
  overflow_entry(image, kOverflowData, 150, 3);
  const std::string text = text_of(check(image));
  EXPECT_NE(text.find("pair of data block 1: found 11"), std::string::npos) << text;
  EXPECT_NE(text.find("pair of data block 150: found not 11"), std::string::npos) << text;
}

TEST(ThinRules, WithTheOverflowTreeLostNoPairIsHeldAgainstIt) {
  TestImage image = worked_example();
  image.set_pair(kDataBitmap, 1, 3);
  image.put32(kOverflowData, 0, 0);
  const ThinReport report = check(image);
  EXPECT_TRUE(has(report, Rule::block_identity, Severity::fatal));
  EXPECT_EQ(report.findings.total(), 1U) << text_of(report);
}

TEST(ThinRules, ABitmapOfTwoIndexEntriesIsFoundAndReadOnce) {
  TestImage image = worked_example();
  image.set64(0, 64, 16320 + 200);
  image.change(kDataIndex, [](TestImage& i) {
    i.put32(kDataIndex, 16, 2).put64(kDataIndex, 40, 1);
    i.put64(kDataIndex, 1392, kDataBitmap).put32(kDataIndex, 1400, 16317);
  });
  image.set_pair(kMetaBitmap, kDataBitmap, 2);   // so that its count gives nothing away
  const ThinReport report = check(image);
  EXPECT_TRUE(has(report, Rule::reached_twice, Severity::fatal)) << text_of(report);
  EXPECT_EQ(report.findings.total(), 1U) << text_of(report);
}

TEST(ThinRules, TimeAndSizesNeverShrinkBetweenCommits) {
  const Superblock now = check(worked_example()).superblock;
  Superblock later = now;
  Findings findings;
  check_succession(now, later, findings);
  EXPECT_TRUE(findings.empty());
  later.time = 0;
  check_succession(now, later, findings);
  EXPECT_EQ(findings.of_rule(Rule::times), 1U);
  later = now;
  later.data_map.nr_blocks = 199;
  check_succession(now, later, findings);
  EXPECT_EQ(findings.of_rule(Rule::superblock_fields), 1U);
}

}   // namespace
}   // namespace checkers::image::test
