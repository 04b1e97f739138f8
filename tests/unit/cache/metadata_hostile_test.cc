// Every word of every block set to odd values, with checksums right: opening and using the metadata
// may fail in any way but must not crash, run wild or wait for itself. What it accepts and writes,
// the checker must be able to walk.
#include <array>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "engine/cache/superblock_format.h"
#include "engine/pdata/array_format.h"
#include "tests/unit/cache/metadata_tank.h"
#include "tests/unit/cache/validators.h"
#include "tests/unit/sparse.h"

namespace engine::cache {
namespace {

constexpr std::uint32_t kAttackedBlocks = 150;

sim::DiskImageRef image_of(std::uint32_t version, Shape shape) {
  return with_metadata({.blocks = 256}, options_for(version, kAttackedBlocks, shape),
                       [](Metadata& metadata) {
                         CoreState state;
                         for (std::uint32_t i = 0; i < 60; ++i) {
                           state.mappings[i * 2] = i * 5 + 1;
                           state.dirty[i * 2] = i % 4 == 0;
                           state.hints[i * 2] = i;
                         }
                         state.discarded[7] = state.discarded[100] = true;
                         map_all(metadata, state);
                         must(metadata.shut_down_cleanly(state.clean_state()));
                       });
}

// All that a cache does, errors ignored.
void use(sim::SimDevice& device, const MetadataOptions& options) {
  auto opened = Metadata::open(device, options);
  if (!opened) return;
  Metadata& metadata = **opened;
  const auto change = [&](auto&& result) {
    if (!result && !metadata.failed()) (void)metadata.abort();
  };
  (void)metadata.load_mappings(kTestPolicy, kTestOriginBlocks);
  (void)metadata.load_discards(kTestDiscards);
  (void)metadata.load_discards({.block_sectors = 1, .nr_blocks = 1});
  change(metadata.resize(kAttackedBlocks - 20));
  change(metadata.begin_service());
  for (std::uint32_t i = 0; i < 150; i += 11)
    change(metadata.remove(CacheBlock{i}));
  for (std::uint32_t i = 1; i < 150; i += 7)
    change(metadata.insert(CacheBlock{i}, OriginBlock{i}));
  change(metadata.commit());
  change(metadata.resize(kAttackedBlocks + 600));
  const CoreState state = example_state();
  change(metadata.shut_down_cleanly(state.clean_state()));
  change(metadata.begin_service());
  change(metadata.resize(1));
  change(metadata.set_needs_check());
  (void)metadata.close();
}

// Each `step`-th word.
void attack(std::uint32_t version, Shape shape, std::size_t step) {
  const auto image = image_of(version, shape);
  ASSERT_EQ(faults_of(*image, shape), "");
  std::size_t attacks = 0;
  std::size_t words = 0;
  for (std::uint64_t block = 0; block < 256; ++block) {
    const auto original = pdata::block_bytes(*image, block);
    const pdata::Validator* const validator = validator_of(block, original);
    if (validator == nullptr) continue;
    // Words in use, and the header's.
    for (std::size_t at = 4; at < kMetaBlockSize; at += 4) {
      const auto before = view_as<Le32>(ConstBytes{original}.subspan(at)).value();
      if (at >= 32 && before == 0) continue;
      if (++words % step != 0) continue;
      for (const std::uint32_t odd : {0U, 1U, before + 1, before ^ 0x80U, 253U, 0xffffffffU}) {
        if (odd == before) continue;
        ++attacks;
        auto bytes = original;
        view_as<Le32>(MutableBytes{bytes}.subspan(at)) = odd;
        validator->prepare(MetaBlock{block}, bytes);
        auto changed = std::make_shared<sim::DiskImage>(*image);
        changed->write(first_sector(MetaBlock{block}), bytes);
        const auto after = in_tank({.image = changed}, [&](sim::SimDevice& device) {
          use(device, options_for(version, kAttackedBlocks, shape));
        });
        static_cast<void>(report_of(*changed, shape));
        static_cast<void>(report_of(*after, shape));
        if (::testing::Test::HasFailure()) {
          FAIL() << "block " << block << ", offset " << at << ": " << before << " -> " << odd;
        }
      }
    }
  }
  EXPECT_NE(attacks, 0U);
  EXPECT_GE(attacks, 4 * (words / step));   // two of the six may be what is there
  ::testing::Test::RecordProperty("attacks", static_cast<int>(attacks));
}

TEST(CacheMetadataHostile, NoWordOfASmallCacheBreaksIt) {
  attack(1, Shape::small, 8 * unit::sparse());
  attack(2, Shape::small, 7 * unit::sparse());
}
TEST(CacheMetadataHostile, NoWordOfALinuxCacheBreaksIt) {
  attack(1, Shape::linuxs, 5 * unit::sparse());
  attack(2, Shape::linuxs, 4 * unit::sparse());
}

// What is wrong with a superblock alone is refused at open, and nothing is written.
TEST(CacheMetadataHostile, OddSuperblocksAreRefused) {
  const auto image = image_of(2, Shape::linuxs);
  const auto refused = [&](std::size_t at, std::uint32_t odd) {
    auto bytes = pdata::block_bytes(*image, 0);
    view_as<Le32>(MutableBytes{bytes}.subspan(at)) = odd;
    kCacheSuperblockValidator.prepare(MetaBlock{0}, bytes);
    auto changed = std::make_shared<sim::DiskImage>(*image);
    changed->write(Sector{0}, bytes);
    Errc code = Errc::ok;
    const auto after = in_tank({.image = changed}, [&](sim::SimDevice& device) {
      code = code_of(Metadata::open(device, options_for(2, kAttackedBlocks)));
    });
    EXPECT_EQ(pdata::block_bytes(*after, 0), bytes) << at;
    return code;
  };
  EXPECT_EQ(refused(4, 5), Errc::corrupt);    // flags
  EXPECT_EQ(refused(32, 1), Errc::corrupt);   // magic
  EXPECT_EQ(refused(40, 3), Errc::invalid);   // version
  EXPECT_EQ(refused(40, 0), Errc::invalid);
  EXPECT_EQ(refused(56, 0x41414141), Errc::corrupt);   // policy name without an end
  EXPECT_EQ(refused(64, 100000), Errc::invalid);       // more metadata blocks than the device
  EXPECT_EQ(refused(192, 7000), Errc::corrupt);        // mapping root
  EXPECT_EQ(refused(200, 7000), Errc::corrupt);        // hint root
  EXPECT_EQ(refused(208, 7000), Errc::corrupt);        // discard root
  EXPECT_EQ(refused(224, 99999999), Errc::corrupt);    // discard bits
  EXPECT_EQ(refused(232, 128), Errc::invalid);         // data block size
  EXPECT_EQ(refused(236, 16), Errc::corrupt);          // metadata block size
  EXPECT_EQ(refused(240, 99999), Errc::corrupt);       // cache blocks
  EXPECT_EQ(refused(248, 1), Errc::invalid);           // compat_ro
  EXPECT_EQ(refused(252, 1), Errc::invalid);           // incompat
  EXPECT_EQ(refused(284, 7000), Errc::corrupt);        // dirty root
}

}   // namespace
}   // namespace engine::cache
