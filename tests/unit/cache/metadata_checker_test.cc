// The offline checker against damage: every field of every kind of block, each with the rule that
// must notice it, and all that cache_check notices.
#include <cstring>

#include <gtest/gtest.h>

#include "checkers/image/cache_format.h"
#include "checkers/image/check_command.h"
#include "engine/cache/superblock_format.h"
#include "engine/pdata/array_format.h"
#include "engine/pdata/btree_format.h"
#include "tests/unit/cache/metadata_tank.h"
#include "tests/unit/pdata/tools.h"

namespace engine::cache {
namespace {

using checkers::image::Rule;
using checkers::image::Severity;

constexpr std::uint32_t kCacheBlocks = 600;   // two blocks of mappings, the second partly filled

sim::DiskImageRef image_of(std::uint32_t version) {
  static const sim::DiskImageRef images[] = {example_image(1, Shape::linuxs, kCacheBlocks),
                                             example_image(2, Shape::linuxs, kCacheBlocks)};
  return images[version - 1];
}

std::uint64_t u64_at(const sim::DiskImage& image, std::uint64_t block, std::size_t at) {
  const auto bytes = pdata::block_bytes(image, block);
  return view_as<Le64>(ConstBytes{bytes}.subspan(at)).value();
}

// Where things lie in an image.
struct Places {
  explicit Places(const sim::DiskImage& image)
      : index{u64_at(image, 0, 80)},
        overflow{u64_at(image, 0, 88)},
        bitmap{u64_at(image, index, 16)},
        mapping_tree{u64_at(image, 0, 192)},
        mapping_array{first_value(image, mapping_tree)},
        mapping_tail{u64_at(image, mapping_tree, 2048 + 8)},
        hint_tree{u64_at(image, 0, 200)},
        hint_array{first_value(image, hint_tree)},
        discard_tree{u64_at(image, 0, 208)},
        discard_array{first_value(image, discard_tree)},
        dirty_tree{u64_at(image, 0, 284)},
        dirty_array{dirty_tree == 0 ? 0 : first_value(image, dirty_tree)} {}
  static std::uint64_t first_value(const sim::DiskImage& image, std::uint64_t leaf) {
    return u64_at(image, leaf, 2048);
  }
  std::uint64_t index, overflow, bitmap, mapping_tree, mapping_array, mapping_tail, hint_tree,
      hint_array, discard_tree, discard_array, dirty_tree, dirty_array;
};

const pdata::Validator& validator_at(const Places& places, std::uint64_t block) {
  if (block == 0) return kCacheSuperblockValidator;
  if (block == places.index) return pdata::kIndexValidator;
  if (block == places.bitmap) return pdata::kBitmapValidator;
  for (const std::uint64_t array : {places.mapping_array, places.mapping_tail, places.hint_array,
                                    places.discard_array, places.dirty_array}) {
    if (block == array) return pdata::kArrayValidator;
  }
  return pdata::kNodeValidator;
}

enum class Seal : bool { no, yes };

// The image with some bytes of a block replaced, and a checksum that is right again.
sim::DiskImageRef with(const sim::DiskImage& image, std::uint64_t block, std::size_t at,
                       std::uint64_t value, std::size_t size, Seal seal = Seal::yes) {
  auto changed = std::make_shared<sim::DiskImage>(image);
  auto bytes = pdata::block_bytes(image, block);
  std::memcpy(bytes.data() + at, &value, size);
  if (seal == Seal::yes) {
    const auto number = view_as<Le64>(ConstBytes{bytes}.subspan(8)).value();
    const auto& validator = validator_at(Places{image}, block);
    const bool array = &validator == &pdata::kArrayValidator;
    validator.prepare(
        MetaBlock{array ? view_as<Le64>(ConstBytes{bytes}.subspan(16)).value() : number}, bytes);
  }
  changed->write(first_sector(MetaBlock{block}), bytes);
  return changed;
}

bool says(const sim::DiskImage& image, Rule rule, Severity severity) {
  const auto report = report_of(image);
  for (const auto& finding : report.findings.kept()) {
    if (finding.rule == rule && finding.severity == severity) return true;
  }
  return false;
}

void expect_noticed(const sim::DiskImageRef& image, Rule rule, Severity severity,
                    std::source_location where = std::source_location::current()) {
  EXPECT_TRUE(says(*image, rule, severity)) << "line " << where.line() << "\n" << faults_of(*image);
  // The tool must not be stricter.
  static const bool have_tool = pdata::run("command -v cache_check >/dev/null 2>&1") == 0;
  if (!have_tool || report_of(*image).exit_code() != 0) return;
  const pdata::Folder folder;
  pdata::write_image(*image, folder / "image");
  EXPECT_EQ(pdata::run("cache_check " + (folder / "image") + " >/dev/null 2>&1"), 0)
      << "line " << where.line();
}

class CacheChecker : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  [[nodiscard]] sim::DiskImageRef image() const { return image_of(GetParam()); }
  [[nodiscard]] Places places() const { return Places{*image()}; }
  [[nodiscard]] sim::DiskImageRef with32(std::uint64_t block, std::size_t at,
                                         std::uint32_t value) const {
    return with(*image(), block, at, value, 4);
  }
  [[nodiscard]] sim::DiskImageRef with64(std::uint64_t block, std::size_t at,
                                         std::uint64_t value) const {
    return with(*image(), block, at, value, 8);
  }
};
INSTANTIATE_TEST_SUITE_P(Versions, CacheChecker, ::testing::Values(1U, 2U));

TEST_P(CacheChecker, AnUndamagedImageIsClean) {
  EXPECT_EQ(faults_of(*image()), "");
  const auto report = report_of(*image());
  EXPECT_TRUE(report.complete);
  EXPECT_EQ(report.exit_code(), 0);
  EXPECT_EQ(report.mappings.size(), 40);
  EXPECT_EQ(report.discarded.size(), 7);
}

TEST_P(CacheChecker, NoticesEveryFieldOfTheSuperblock) {
  expect_noticed(with(*image(), 0, 0, 1, 4, Seal::no), Rule::superblock_checksum, Severity::fatal);
  const auto fatal = [&](std::size_t at, std::uint32_t value) {
    expect_noticed(with32(0, at, value), Rule::superblock_fields, Severity::fatal);
  };
  fatal(4, 8);
  fatal(8, 1);
  fatal(32, 27022010);
  fatal(40, 3);
  fatal(40, 0);
  fatal(56, 0x41414141);
  fatal(232, 0);
  fatal(232, 96);
  fatal(236, 4);
  fatal(244, 1);
  fatal(248, 1);
  fatal(252, 1);
  expect_noticed(with32(0, 16, 1), Rule::superblock_fields, Severity::warn);
  expect_noticed(with32(0, 292, 1), Rule::superblock_fields, Severity::warn);
  expect_noticed(with32(0, 4092, 1), Rule::superblock_fields, Severity::warn);
  if (GetParam() == 1) expect_noticed(with32(0, 284, 1), Rule::superblock_fields, Severity::warn);
  expect_noticed(with32(0, 240, 0), Rule::superblock_fields, Severity::repairable);
  expect_noticed(with32(0, 240, 509), Rule::array_shape, Severity::repairable);
  expect_noticed(with32(0, 240, 601), Rule::array_shape, Severity::fatal);
  expect_noticed(with32(0, 240, 1200), Rule::array_shape, Severity::fatal);
  expect_noticed(with64(0, 64, 100000), Rule::block_identity, Severity::fatal);
  expect_noticed(with64(0, 72, 3), Rule::space_map_totals, Severity::repairable);
  expect_noticed(with32(0, 60, 8), Rule::hints, Severity::fatal);
  expect_noticed(with32(0, 60, 0), Rule::hints, Severity::warn);
  expect_noticed(with64(0, 216, 96), Rule::discards, Severity::repairable);
  expect_noticed(with64(0, 216, 192), Rule::discards, Severity::repairable);
  expect_noticed(with64(0, 216, 128), Rule::discards, Severity::repairable);
  expect_noticed(with64(0, 216, 0), Rule::discards, Severity::repairable);
  expect_noticed(with64(0, 224, 100000), Rule::discards, Severity::repairable);
  expect_noticed(with64(0, 224, 4090), Rule::discards, Severity::repairable);
}

TEST_P(CacheChecker, NoticesRootsThatPointElsewhere) {
  for (const std::size_t root : {80U, 88U, 192U, 200U, 208U}) {
    expect_noticed(with64(0, root, 5000), Rule::block_identity, Severity::fatal);
    expect_noticed(with64(0, root, 0), root == 200 ? Rule::hints : Rule::block_identity,
                   root == 200 ? Severity::warn : Severity::fatal);
  }
  expect_noticed(with64(0, 192, places().discard_tree), Rule::block_identity, Severity::fatal);
  if (GetParam() == 2) expect_noticed(with64(0, 284, 0), Rule::block_identity, Severity::fatal);
}

TEST_P(CacheChecker, NoticesEveryFieldOfTreesAndArrays) {
  const Places at = places();
  std::vector<std::uint64_t> trees{at.mapping_tree, at.hint_tree, at.discard_tree};
  std::vector<std::uint64_t> arrays{at.mapping_array, at.mapping_tail, at.hint_array,
                                    at.discard_array};
  if (GetParam() == 2) {
    trees.push_back(at.dirty_tree);
    arrays.push_back(at.dirty_array);
  }
  for (const std::uint64_t tree : trees) {
    SCOPED_TRACE(tree);
    expect_noticed(with(*image(), tree, 0, 1, 4, Seal::no), Rule::block_identity, Severity::fatal);
    expect_noticed(with32(tree, 4, 3), Rule::node_shape, Severity::fatal);
    expect_noticed(with32(tree, 8, 1), Rule::block_identity, Severity::fatal);
    expect_noticed(with32(tree, 16, 253), Rule::node_shape, Severity::fatal);
    expect_noticed(with32(tree, 16, 0), Rule::array_shape, Severity::fatal);
    expect_noticed(with32(tree, 20, 300), Rule::node_shape, Severity::fatal);
    expect_noticed(with32(tree, 24, 4), Rule::node_shape, Severity::fatal);
    expect_noticed(with32(tree, 28, 1), Rule::node_shape, Severity::warn);
    expect_noticed(with32(tree, 32, 7), Rule::array_shape, Severity::fatal);
    expect_noticed(with64(tree, 2048, 9999), Rule::block_identity, Severity::fatal);
    expect_noticed(with64(tree, 2048, 0), Rule::block_identity, Severity::fatal);
  }
  expect_noticed(with64(at.mapping_tree, 2056, at.mapping_array), Rule::reached_twice,
                 Severity::fatal);
  for (const std::uint64_t array : arrays) {
    SCOPED_TRACE(array);
    expect_noticed(with(*image(), array, 0, 1, 4, Seal::no), Rule::block_identity, Severity::fatal);
    const auto max = static_cast<std::uint32_t>(u64_at(*image(), array, 4) & 0xffffffffU);
    const auto nr = static_cast<std::uint32_t>(u64_at(*image(), array, 8) & 0xffffffffU);
    expect_noticed(with32(array, 4, max - 1), Rule::array_shape, Severity::fatal);
    expect_noticed(with32(array, 4, 0), Rule::array_shape, Severity::fatal);
    expect_noticed(with32(array, 8, nr - 1), Rule::array_shape, Severity::fatal);
    expect_noticed(with32(array, 8, nr + 1), Rule::array_shape,
                   nr == max ? Severity::fatal : Severity::repairable);
    expect_noticed(with32(array, 8, 0xffffffff), Rule::array_shape, Severity::fatal);
    expect_noticed(with32(array, 12, 16), Rule::array_shape, Severity::fatal);
    expect_noticed(with32(array, 16, 1), Rule::block_identity, Severity::fatal);
  }
}

TEST_P(CacheChecker, NoticesEveryKindOfWrongMapping) {
  const std::uint64_t array = places().mapping_array;
  const auto entry = [&](std::uint32_t block, std::uint64_t value) {
    return with64(array, 24 + std::size_t{8} * block, value);
  };
  // Block 13 holds origin block 107, block 1 nothing.
  ASSERT_EQ(u64_at(*image(), array, 24 + 8 * 13) >> 16, 107);
  expect_noticed(entry(13, 107 << 16 | 5), Rule::cache_mappings, Severity::fatal);
  expect_noticed(entry(13, 5000 << 16 | 1), Rule::cache_mappings, Severity::fatal);
  expect_noticed(entry(13, 114 << 16 | 1), Rule::origin_twice, Severity::fatal);
  expect_noticed(entry(1, 100 << 16 | 1), Rule::origin_twice, Severity::fatal);
  expect_noticed(entry(1, 2), Rule::cache_mappings, Severity::repairable);
  expect_noticed(entry(1, 9 << 16), Rule::cache_mappings, Severity::repairable);
  if (GetParam() == 2)
    expect_noticed(entry(13, 107 << 16 | 3), Rule::cache_mappings, Severity::fatal);
  else
    EXPECT_EQ(faults_of(*entry(13, 107 << 16 | 3)), "");
}

TEST_P(CacheChecker, NoticesBitsThatStandForNothing) {
  const Places at = places();
  if (GetParam() == 2) {
    const std::uint64_t word = u64_at(*image(), at.dirty_array, 24);
    expect_noticed(with64(at.dirty_array, 24, word | 2), Rule::dirty_bits, Severity::warn);
    expect_noticed(with64(at.dirty_array, 24 + 8 * 9, std::uint64_t{1} << 63), Rule::dirty_bits,
                   Severity::warn);
  }
  auto odd_size = with_metadata({}, options_for(GetParam(), 100), [](Metadata& metadata) {
    CoreState state;
    CleanState clean = state.clean_state();
    clean.discards = {.block_sectors = 64, .nr_blocks = 70};
    must(metadata.shut_down_cleanly(clean));
  });
  const Places odd{*odd_size};
  const auto changed = with(*odd_size, odd.discard_array, 32, 1 << 10, 8);
  EXPECT_TRUE(says(*changed, Rule::discards, Severity::warn)) << faults_of(*changed);
}

TEST_P(CacheChecker, NoticesCountsThatAreWrong) {
  const Places at = places();
  // The bitmap's first bytes: four blocks a byte, the odd bit of a pair being the ones.
  const auto bytes = pdata::block_bytes(*image(), at.bitmap);
  const auto first = std::to_integer<std::uint8_t>(bytes[16]);
  expect_noticed(with(*image(), at.bitmap, 16, first & ~2U, 1), Rule::metadata_count_low,
                 Severity::fatal);
  expect_noticed(with(*image(), at.bitmap, 16, first | 1U, 1), Rule::overflow, Severity::fatal);
  expect_noticed(with(*image(), at.bitmap, 100, 2, 1), Rule::metadata_count_high, Severity::leak);
  EXPECT_EQ(
      report_of(*with(*image(), at.bitmap, 16 + 4079, 0x80, 1)).findings.of_rule(Rule::bitmap_tail),
      1);
  expect_noticed(with32(at.index, 24, 3), Rule::space_map_totals, Severity::repairable);
  expect_noticed(with32(at.index, 28, 16000), Rule::space_map_totals, Severity::repairable);
  expect_noticed(with64(at.index, 16, 0), Rule::block_identity, Severity::fatal);
}

TEST_P(CacheChecker, TheCommandSaysItInTextAndJson) {
  const pdata::Folder folder;
  pdata::write_image(*image(), folder / "image");
  using checkers::image::check_cache_file;
  using checkers::image::Form;
  auto outcome = check_cache_file(folder / "image", Form::text);
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_NE(outcome.output.find("shut down cleanly: 40 mapped, 7 stored as dirty"),
            std::string::npos)
      << outcome.output;
  outcome = check_cache_file(folder / "image", Form::json);
  EXPECT_NE(outcome.output.find("\"mappings\": 40"), std::string::npos) << outcome.output;
  pdata::write_image(*with(*image(), places().bitmap, 100, 2, 1), folder / "image");
  EXPECT_EQ(check_cache_file(folder / "image", Form::text).exit_code, 0 + 2)
      << "the totals are wrong too";
  pdata::write_image(*with32(0, 32, 1), folder / "image");
  EXPECT_EQ(check_cache_file(folder / "image", Form::text).exit_code, 2);
  EXPECT_EQ(check_cache_file(folder / "nothing", Form::text).exit_code, 2);
}

}   // namespace
}   // namespace engine::cache
