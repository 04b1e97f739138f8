// Every byte hostile: each field of each block set to odd values, and random bytes turned over,
// with checksums right. A change of a field that anybody reads must be found; nothing may crash,
// hang or take memory without bound. Run under the sanitizers too.
#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "checkers/image/report_text.h"
#include "checkers/image/thin_dump.h"
#include "checkers/image/thin_format.h"
#include "tests/unit/checkers/pool_builder.h"
#include "tests/unit/checkers/test_image.h"
#include "tests/unit/sparse.h"

namespace checkers::image::test {
namespace {

struct Place {
  std::string name;
  std::uint64_t block;
  std::size_t at;
  std::size_t size;
  bool read_by_none{false};   // any value is as good
};

template <std::size_t N>
void add_fields(std::vector<Place>& places, const std::array<thin_format::Field, N>& fields,
                const std::string& of, std::uint64_t block, std::size_t base) {
  for (const auto& field : fields) {
    const bool root = field.size == 128;
    const bool ignored = field.name == "uuid" || field.name == "pairs" || field.name == "index";
    if (root) {
      add_fields(places, thin_format::kSpaceMapRootFields, fmt::format("{}.{}", of, field.name),
                 block, base + field.offset);
    } else if (!ignored) {
      places.push_back(
          {fmt::format("{}.{}", of, field.name), block, base + field.offset, field.size});
    }
  }
}

// All fields of the worked example, used slots of its nodes and bitmaps among them.
std::vector<Place> places(const TestImage& image) {
  std::vector<Place> list;
  add_fields(list, thin_format::kSuperblockFields, "superblock", 0, 0);
  for (const std::uint64_t block : {2U, 5U, 27U, 37U, 38U, 39U, 40U}) {
    add_fields(list, thin_format::kNodeFields, fmt::format("node {}", block), block, 0);
    const std::uint32_t max = image.get32(block, 20);
    const std::uint32_t size = image.get32(block, 24);
    for (std::uint32_t i = 0; i < image.get32(block, 16); ++i) {
      list.push_back({fmt::format("node {} key {}", block, i), block, 32 + 8 * i, 8});
      const std::size_t value = 32 + 8 * max + size * i;
      if (block == 39) {
        add_fields(list, thin_format::kDetailsFields, fmt::format("details {}", i), block, value);
      } else if (block == 40) {
        add_fields(list, thin_format::kIndexEntryFields, "data index entry", block, value);
      } else {
        list.push_back({fmt::format("node {} value {}", block, i), block, value, size});
      }
    }
  }
  for (const std::uint64_t block : {35U, 36U}) {
    add_fields(list, thin_format::kBitmapFields, fmt::format("bitmap {}", block), block, 0);
    for (std::size_t at = 16; at < 4096; at += 4) {
      list.push_back({fmt::format("bitmap {} byte {}", block, at), block, at, 4});
    }
  }
  add_fields(list, thin_format::kIndexBlockFields, "index block", 41, 0);
  for (std::uint32_t i = 0; i < 255; ++i) {
    add_fields(list, thin_format::kIndexEntryFields, fmt::format("index entry {}", i), 41,
               16 + 16 * i);
  }
  return list;
}

void put(TestImage& image, const Place& place, std::uint64_t value) {
  if (place.size == 4) {
    image.put32(place.block, place.at, static_cast<std::uint32_t>(value));
  } else {
    image.put64(place.block, place.at, value);
  }
}

// Changes that are right, or that no reader can tell from right.
bool harmless(const Place& place, std::uint64_t was, std::uint64_t value) {
  if (place.name == "superblock.version") return value == 1 || value == 2;
  if (place.name == "superblock.flags") return value <= 1;
  if (place.name == "superblock.trans_id") return true;   // any number from 0 up is
  if (place.name == "superblock.time") return value >= was && value < 1 << 24;
  if (place.name == "superblock.data_block_size") {
    return value % 128 == 0 && value >= 128 && value <= 2097152;
  }
  if (place.name == "superblock.metadata_nr_blocks") return value <= 1024;
  // Lower is only slower; a device may stem from any past transaction and have been made earlier.
  if (place.name.ends_with(".none_free_before")) return value < was;
  if (place.name.ends_with(".creation_time")) return value <= 1;
  if (place.name.ends_with(".transaction_id")) return value <= 42;
  // A data device of another size, a mapping of another virtual block or time: a pool that could
  // be.
  if (place.name == "superblock.data_space_map_root.nr_blocks") return value >= 3 && value <= 16320;
  if (place.name == "node 27 key 0" || place.name == "node 38 key 0") return value < 9;
  if (place.name == "node 27 value 0") return value == 1;
  if (place.name == "node 38 value 0") return value == (2U << 24);
  return false;
}

TEST(ThinHostile, EveryFieldThatIsReadIsJudged) {
  const TestImage good = worked_example();
  TestImage image = good;
  ThinChecker checker;
  unsigned tried = 0;
  std::uint32_t number = 0;
  for (const Place& place : places(good)) {
    if (number++ % unit::sparse() != 0) continue;
    const std::uint64_t was =
        place.size == 4 ? good.get32(place.block, place.at) : good.get64(place.block, place.at);
    const std::uint64_t all = place.size == 4 ? 0xffffffffU : ~std::uint64_t{0};
    for (const std::uint64_t value :
         {was + 1, was - 1, std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{3}, was ^ 0x80,
          was * 3, was << 8, all, all >> 1, all - 1, std::uint64_t{1} << (8 * place.size - 1)}) {
      const std::uint64_t cut = value & all;
      if (cut == was || harmless(place, was, cut)) continue;
      const std::vector<std::byte> before{image.block(place.block).begin(),
                                          image.block(place.block).end()};
      const bool checksum = place.at == 0;
      if (checksum) {
        put(image, place, cut);
      } else {
        image.change(place.block, [&](TestImage& i) { put(i, place, cut); });
      }
      SpanSource source{image.bytes()};
      const ThinReport& report = checker.check(source);
      ++tried;
      EXPECT_FALSE(report.findings.empty()) << place.name << " = " << cut << ", was " << was;
      (void)dump_thin_xml(source);
      std::copy(before.begin(), before.end(), image.block(place.block).begin());
    }
  }
  EXPECT_GT(tried, 20000U / unit::sparse());
}

TEST(ThinHostile, UnreadFieldsAreNotJudged) {
  TestImage image = worked_example();
  image.set64(0, 16, ~std::uint64_t{0}).set64(0, 24, 5);           // uuid
  image.set64(0, 96, 1).set64(0, 184, 1).set64(0, 312, 1);         // padding of the map roots
  image.set64(38, 48, 3).set64(38, 2064, 77).set64(38, 4056, 9);   // slots not in use
  EXPECT_TRUE(check(image).findings.empty()) << text_of(check(image));
}

TestImage fuzz_pool(bool restored) {
  if (restored && have_thin_tools()) {
    std::string xml =
        "<superblock uuid=\"\" time=\"2\" transaction=\"5\" version=\"2\" "
        "data_block_size=\"128\" nr_data_blocks=\"20000\">";
    for (int device = 0; device < 3; ++device) {
      xml += fmt::format(
          "<device dev_id=\"{}\" mapped_blocks=\"900\" transaction=\"1\" creation_time=\"0\" "
          "snap_time=\"2\">",
          device);
      for (int i = 0; i < 900; ++i) {
        xml += fmt::format("<single_mapping origin_block=\"{}\" data_block=\"{}\" time=\"1\"/>",
                           3 * i, 2 * i);
      }
      xml += "</device>";
    }
    return restore(xml + "</superblock>", 64);
  }
  PoolBuilder pool{64, 300};
  std::vector<Mapping> mappings;
  for (std::uint64_t i = 0; i < 81; ++i)
    mappings.push_back({5 * i, i, 0});
  const std::uint64_t root = pool.tree(mappings, 9, 3);
  pool.set_time(1);
  pool.hold(pool.devices({{1, root, 81, 0, 0, 1}}), 1);
  return pool.finish(pool.devices({{1, root, 81, 0, 0, 1}, {2, root, 81, 0, 1, 1}}));
}

class ThinFuzz : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(ByHandAndRestored, ThinFuzz, testing::Bool());

TEST_P(ThinFuzz, RandomBytesWithRightChecksumsDoNoHarm) {
  const TestImage good = fuzz_pool(GetParam());
  std::vector<std::uint32_t> salts;
  std::vector<std::uint64_t> used;
  for (std::uint64_t block = 0; block < good.nr_blocks(); ++block) {
    salts.push_back(good.salt(block));
    if (salts.back() != 0) used.push_back(block);
  }
  ASSERT_GT(used.size(), 10U);
  std::mt19937 random{20240607};
  const auto below = [&](std::uint64_t end) { return random() % end; };
  ThinChecker checker;
  CheckOptions few;
  few.findings_per_rule = 3;
  for (std::uint32_t round = 0; round < 6000; round += unit::sparse()) {
    TestImage image = good;
    const std::uint64_t changes = 1 + below(4);
    for (std::uint64_t i = 0; i < changes; ++i) {
      const std::uint64_t block = used[below(used.size())];
      // Mostly where something is: headers, first keys, first values.
      const std::size_t at =
          below(3) == 0 ? 4 + below(4092) : (below(2) == 0 ? 4 + below(60) : 4 + below(360));
      switch (below(4)) {
        case 0:
          image.block(block)[at] ^= static_cast<std::byte>(1U << below(8));
          break;
        case 1:
          image.block(block)[at] = static_cast<std::byte>(below(256));
          break;
        case 2:   // a block number, perhaps
          if (at + 8 <= 4096) image.put64(block, at & ~std::size_t{7}, below(70));
          break;
        default: {   // a block over another
          const auto from = image.block(used[below(used.size())]);
          std::copy(from.begin() + 16, from.end(), image.block(block).begin() + 16);
        }
      }
      image.seal(block, salts[block]);
    }
    SpanSource source{image.bytes()};
    const ThinReport& report = checker.check(source, few);
    ASSERT_LE(report.findings.kept().size(), 3 * 4 * kRules);
    ASSERT_LT(report.blocks_read, 30000U);
    (void)render_text(report, "fuzz");
    (void)dump_thin(source);
    (void)dump_thin(source, DumpWhich::held);
  }
}

TEST(ThinHostile, TruncatedImagesAreJudged) {
  const TestImage good = worked_example();
  for (const std::size_t blocks : {0U, 1U, 2U, 30U, 41U, 1023U}) {
    const std::span<const std::byte> whole{good.bytes()};
    SpanSource source{whole.first(blocks * kImageBlockSize)};
    EXPECT_EQ(check_thin(source).exit_code(), 2) << blocks;
    (void)dump_thin(source);
  }
}

TEST(ThinHostile, ReadErrorsAreFindings) {
  class BadSource final : public BlockSource {
   public:
    explicit BadSource(const TestImage& image) : image_{image.bytes()} {}
    [[nodiscard]] bool read(std::uint64_t block, BlockBytes out) override {
      return block != bad && image_.read(block, out);
    }
    [[nodiscard]] std::uint64_t nr_blocks() const override { return image_.nr_blocks(); }
    std::uint64_t bad{0};

   private:
    SpanSource image_;
  };
  const TestImage good = worked_example();
  BadSource source{good};
  for (const std::uint64_t block : {0U, 2U, 5U, 27U, 35U, 36U, 37U, 38U, 39U, 40U, 41U}) {
    source.bad = block;
    const ThinReport report = check_thin(source);
    EXPECT_TRUE(has(report, Rule::unreadable, Severity::fatal)) << block;
    EXPECT_FALSE(report.complete);
  }
  source.bad = 500;
  EXPECT_EQ(check_thin(source).exit_code(), 0);
}

}   // namespace
}   // namespace checkers::image::test
