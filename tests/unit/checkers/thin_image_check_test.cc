// Images that are right: made by a kernel, by thin_restore and by hand. The checker must find
// nothing in them but what thin_restore is known for, and say exactly what they hold.
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "checkers/image/as_findings.h"
#include "checkers/image/check_command.h"
#include "checkers/image/image_file.h"
#include "checkers/image/report_text.h"
#include "checkers/image/thin_dump.h"
#include "tests/unit/checkers/pool_builder.h"
#include "tests/unit/checkers/test_image.h"

namespace checkers::image::test {
namespace {

TEST(ThinChecker, KernelMadeExampleHasTheChecksumsThatTheKernelWrote) {
  const TestImage image = worked_example();
  const std::vector<std::pair<std::uint64_t, std::uint32_t>> sealed{
      {2, 0xc360e452},  {5, 0x41bfaa04},  {27, 0x8d202f02}, {35, 0x8f880325}, {36, 0x2f94c632},
      {37, 0xa850eeef}, {38, 0xd15e970a}, {39, 0x9dbe5872}, {41, 0xb0490c1e}};
  for (const auto& [block, checksum] : sealed) {
    EXPECT_EQ(image.get32(block, 0), checksum) << "block " << block;
    EXPECT_NE(image.salt(block), 0U) << "block " << block;
  }
}

TEST(ThinChecker, FindsNothingInAKernelMadePool) {
  const ThinReport report = check(worked_example());
  EXPECT_TRUE(report.findings.empty()) << text_of(report);
  EXPECT_TRUE(report.complete);
  EXPECT_EQ(report.exit_code(), 0);
  EXPECT_EQ(report.metadata_allocated, 11U);
  EXPECT_EQ(report.data_allocated, 3U);
  EXPECT_EQ(report.distinct_mappings, 4U);
  ASSERT_EQ(report.devices.size(), 2U);
  EXPECT_EQ(report.devices[0], (ThinDevice{7, 38, 2, 0, 0, 1, 2}));
  EXPECT_EQ(report.devices[1], (ThinDevice{8, 27, 2, 0, 1, 1, 2}));
}

TEST(ThinChecker, CountsReferencesByBlock) {
  const TestImage image = worked_example();
  SpanSource source{image.bytes()};
  ThinChecker checker;
  EXPECT_TRUE(checker.check(source).findings.empty());
  EXPECT_EQ(checker.data_refs(0), 1U);
  EXPECT_EQ(checker.data_refs(1), 2U);
  EXPECT_EQ(checker.data_refs(2), 1U);
  EXPECT_EQ(checker.data_refs(3), 0U);
  EXPECT_EQ(checker.data_refs(1U << 30), 0U);
  EXPECT_EQ(checker.metadata_refs(38), 1U);
  EXPECT_EQ(checker.metadata_refs(1), 0U);
}

TEST(ThinChecker, OneObjectJudgesManyImagesAsAFreshOneWould) {
  const TestImage good = worked_example();
  TestImage bad = worked_example();
  bad.set_pair(35, 0, 0);
  ThinChecker checker;
  for (int i = 0; i < 3; ++i) {
    SpanSource good_source{good.bytes()};
    EXPECT_TRUE(checker.check(good_source).findings.empty());
    SpanSource bad_source{bad.bytes()};
    EXPECT_EQ(checker.check(bad_source).findings.kept(), check(bad).findings.kept());
  }
}

TEST(ThinDump, SaysWhatAKernelMadePoolHolds) {
  const TestImage image = worked_example();
  SpanSource source{image.bytes()};
  const ThinDump dump = dump_thin(source);
  ASSERT_TRUE(dump.ok()) << dump.error;
  ASSERT_NE(dump.device(7), nullptr);
  ASSERT_NE(dump.device(8), nullptr);
  EXPECT_EQ(dump.device(9), nullptr);
  EXPECT_EQ(dump.device(7)->mappings, (std::vector<ThinMapping>{{5, 2, 1}, {9, 1, 0}}));
  EXPECT_EQ(dump.device(8)->mappings, (std::vector<ThinMapping>{{5, 0, 0}, {9, 1, 0}}));
  EXPECT_EQ(dump.superblock.trans_id, 42U);
}

// Three levels with max_entries 6, one device's whole tree shared by a snapshot, part of it broken
// off by the origin, and a metadata snapshot from before that.
PoolBuilder small_fan_out_pool(std::pair<std::uint64_t, std::uint64_t>& roots) {
  PoolBuilder pool{64, 100};
  std::vector<Child> leaves;
  for (std::uint64_t i = 0; i < 4; ++i) {
    leaves.push_back({10 * i, pool.leaf({{10 * i, 3 * i, 0}, {10 * i + 1, 3 * i + 1, 0}}, 6)});
  }
  const std::uint64_t left = pool.inner({leaves[0], leaves[1]}, 6);
  const std::uint64_t right = pool.inner({leaves[2], leaves[3]}, 6);
  const std::uint64_t old_root = pool.inner({{0, left}, {20, right}}, 6);
  const std::uint64_t rewritten = pool.leaf({{10, 90, 1}, {11, 4, 0}}, 6);
  const std::uint64_t new_left = pool.inner({leaves[0], {10, rewritten}}, 6);
  const std::uint64_t new_root = pool.inner({{0, new_left}, {20, right}}, 6);
  pool.set_time(1);
  pool.hold(pool.devices({{3, old_root, 8, 0, 0, 0}}), 0);
  roots = pool.devices({{3, new_root, 8, 0, 0, 1}, {4, old_root, 8, 0, 1, 1}});
  return pool;
}

TEST(ThinChecker, AcceptsSmallFanOutAndSharedSubtreesAndAHeldCopy) {
  std::pair<std::uint64_t, std::uint64_t> roots;
  PoolBuilder pool = small_fan_out_pool(roots);
  const TestImage image = pool.finish(roots);
  const ThinReport report = check(image);
  EXPECT_TRUE(report.findings.empty()) << text_of(report);
  EXPECT_EQ(report.distinct_mappings, 10U);
  ASSERT_EQ(report.held_devices.size(), 1U);
  EXPECT_EQ(report.held_devices[0].mappings, 8U);
  SpanSource source{image.bytes()};
  const ThinDump held = dump_thin(source, DumpWhich::held);
  ASSERT_TRUE(held.ok()) << held.error;
  EXPECT_EQ(held.device(3)->mappings, dump_thin(source).device(4)->mappings);
}

TEST(ThinChecker, HoldsNodesToAThirdOfTheirOwnMaxEntries) {
  std::vector<Mapping> mappings;
  for (std::uint64_t i = 0; i < 64; ++i)
    mappings.push_back({i, i, 0});
  for (const std::uint32_t max : {6U, 9U, 12U, 249U, 252U}) {
    PoolBuilder pool{64, 100};
    const std::uint64_t root = pool.tree(mappings, max, 4);
    const ThinReport report = check(pool.finish(pool.devices({{0, root, 64}})));
    EXPECT_EQ(report.findings.empty(), max <= 12) << max << "\n" << text_of(report);
    EXPECT_EQ(has(report, Rule::node_shape, Severity::repairable), max > 12) << text_of(report);
    EXPECT_EQ(report.findings.of_rule(Rule::node_shape), report.findings.total());
  }
}

std::string big_xml(unsigned devices, unsigned mappings) {
  std::string xml =
      "<superblock uuid=\"\" time=\"9\" transaction=\"5\" version=\"2\" data_block_size=\"128\" "
      "nr_data_blocks=\"60000\">\n";
  std::uint32_t random = 12345;
  for (unsigned device = 0; device < devices; ++device) {
    const unsigned count = device == 2 ? 0 : mappings;
    xml += fmt::format(
        "<device dev_id=\"{}\" mapped_blocks=\"{}\" transaction=\"{}\" creation_time=\"0\" "
        "snap_time=\"9\">\n",
        device * 1000, count, device);
    std::uint64_t block = 0;
    for (unsigned i = 0; i < count; ++i) {
      random = random * 1664525 + 1013904223;
      block += 1 + (random >> 30);
      // Devices 0, 1 and 3 share the first blocks, so that counts reach 3.
      const unsigned data = i < mappings / 2 ? i : device * mappings + i;
      xml += fmt::format("<single_mapping origin_block=\"{}\" data_block=\"{}\" time=\"3\"/>\n",
                         block, data);
    }
    xml += "</device>\n";
  }
  return xml + "</superblock>\n";
}

TEST(ThinChecker, AcceptsWhatThinRestoreWritesAndDumpsItAsThinDumpDoes) {
  if (!have_thin_tools()) GTEST_SKIP() << "thin-provisioning-tools is not installed";
  for (const unsigned mappings : {0U, 1U, 100U, 10000U}) {
    const TestImage image = restore(big_xml(4, mappings), 1024);
    const ThinReport report = check(image);
    EXPECT_EQ(report.exit_code(), 0) << text_of(report);
    EXPECT_EQ(report.findings.of_severity(Severity::warn), report.findings.total());
    // Its truncated nr_free; and what it maps at several places, as our XML asks for.
    EXPECT_EQ(report.findings.of_rule(Rule::space_map_totals) +
                  report.findings.of_rule(Rule::shared_identity),
              report.findings.total())
        << text_of(report);
    EXPECT_EQ(report.distinct_mappings, 3 * mappings);
    SpanSource source{image.bytes()};
    const ThinXml xml = dump_thin_xml(source);
    EXPECT_EQ(xml.error, "");
    EXPECT_EQ(xml.text, thin_dump(image));
  }
}

TEST(ThinChecker, AcceptsTheBlockThatThinRestoreFreesUnsaidButNotHalfOfIt) {
  // As thin_restore leaves it: one more allocated than is, and the free block hidden.
  PoolBuilder pool{32, 10};
  pool.allocate();   // blocks 7 and 8 stay free, with used ones behind them
  pool.allocate();
  const std::uint64_t root = pool.leaf({{0, 0}});
  TestImage image = pool.finish(pool.devices({{0, root, 1}}));
  const std::uint64_t allocated = image.get64(0, 200);
  ASSERT_TRUE(check(image).findings.empty()) << text_of(check(image));
  image.set64(0, 200, allocated + 1);
  EXPECT_TRUE(has(check(image), Rule::space_map_totals, Severity::repairable));
  image.set32(PoolBuilder::kIndex, 28, 8);   // hides block 7, and not block 8
  EXPECT_EQ(check(image).exit_code(), 0) << text_of(check(image));
  image.set32(PoolBuilder::kIndex, 28, 9);   // two free blocks hidden: nobody's habit
  EXPECT_EQ(check(image).exit_code(), 2) << text_of(check(image));
  image.set64(0, 200, allocated);
  image.set32(PoolBuilder::kIndex, 28, 8);
  EXPECT_EQ(check(image).exit_code(), 2) << text_of(check(image));
}

TEST(ThinChecker, ReadsFilesAsItReadsMemory) {
  TestImage image = worked_example();
  image.set_pair(35, 100, 1);
  const std::string path = testing::TempDir() + "checkers_image_file.img";
  image.save(path);
  auto opened = ImageFile::open(path);
  ASSERT_TRUE(opened.image) << opened.error;
  EXPECT_EQ(opened.image->nr_blocks(), 1024U);
  EXPECT_EQ(check_thin(*opened.image).findings.kept(), check(image).findings.kept());
  std::remove(path.c_str());
  EXPECT_FALSE(ImageFile::open(path).image);
  EXPECT_NE(ImageFile::open(path).error.find(path), std::string::npos);
}

TEST(ThinReport, IsTextAndJson) {
  TestImage image = worked_example();
  image.set_pair(35, 100, 1);
  const ThinReport report = check(image);
  EXPECT_EQ(report.exit_code(), 2);   // nr_free and nr_allocated are wrong as well
  const std::string text = render_text(report, "x.img");
  EXPECT_NE(text.find("leak: data-count-high: metadata block 35: reference count of data block "
                      "100: found 1, expected 0"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("x.img: damaged"), std::string::npos);
  const std::string json = render_json(report, "x.img");
  EXPECT_NE(json.find("\"outcome\": \"damaged\""), std::string::npos) << json;
  EXPECT_NE(json.find("\"name\": \"data-count-high\""), std::string::npos) << json;
}

TEST(CheckCommand, ExitsByWhatItFound) {
  const std::string path = testing::TempDir() + "checkers_check_command.img";
  TestImage image = worked_example();
  image.save(path);
  EXPECT_EQ(check_thin_file(path, Form::text).exit_code, 0);
  image.set_pair(35, 100, 1).set32(40, 1376 + 8, 16316).set64(0, 72, 4).save(path);
  EXPECT_EQ(check_thin_file(path, Form::text).exit_code, 1);
  image.set_pair(35, 0, 0).save(path);
  EXPECT_EQ(check_thin_file(path, Form::json).exit_code, 2);
  std::remove(path.c_str());
  const CommandOutcome missing = check_thin_file(path, Form::text);
  EXPECT_EQ(missing.exit_code, 2);
  EXPECT_EQ(missing.error, path + ": No such file or directory");   // one line, and not its end
}

TEST(ThinReport, ALeakIsNoFindingAfterACut) {
  TestImage image = worked_example();
  image.set_pair(35, 100, 1);
  image.set32(40, 1376 + 8, 16316).set64(0, 72, 4);
  const ThinReport report = check(image);
  EXPECT_EQ(report.outcome(), CheckOutcome::leaks_only) << text_of(report);
  checkers::Findings held;
  add_findings(report, Expect::held, held);
  EXPECT_TRUE(held.empty());
  checkers::Findings exact;
  add_findings(report, Expect::exact, exact);
  ASSERT_EQ(exact.list().size(), 1U);
  EXPECT_EQ(exact.list()[0].kind, "leak-data-count-high");
}

}   // namespace
}   // namespace checkers::image::test
