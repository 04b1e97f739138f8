// Metadata that somebody has changed, with checksums right, under a whole cache: either its table
// is refused with a word about why and not one byte of the three devices changes, or it serves, and
// then nothing crashes or waits for ever.
#include <algorithm>
#include <array>

#include "engine/cache/superblock_format.h"
#include "engine/pdata/array_format.h"
#include "tests/unit/cache/cache_tank.h"
#include "tests/unit/cache/validators.h"
#include "tests/unit/sparse.h"

namespace engine::cache {
namespace {

constexpr std::uint64_t kPlaces = 4;

const char* features_of(std::uint32_t version) {
  return version == 2 ? "2 writeback metadata2" : "1 writeback";
}

// Two clean blocks, a dirty one, a discarded one, hints.
CacheImages used_cache(sim::Execution& execution, std::uint32_t version) {
  CacheTank tank{execution, {.cache_blocks = kPlaces}};
  tank.make(features_of(version), "eager 2 writeback 0");
  for (std::uint64_t block = 0; block < 3; ++block)
    EXPECT_EQ(tank.read(block * kBlock), kOldData + block * kBlock);
  EXPECT_EQ(tank.write(kBlock, 1, 41), Errc::ok);
  EXPECT_EQ(tank.discard(5 * kBlock, kBlock), Errc::ok);
  EXPECT_TRUE(tank.system.remove_all());
  return tank.images();
}

std::uint64_t digest_of(const CacheImages& images) {
  return images.metadata->digest() * 3 + images.fast->digest() * 5 + images.origin->digest() * 7;
}

// A table that cannot become active leaves the device suspended: whoever uses it waits until it is
// given one that can.
void change_table(CacheTank& tank, std::string_view features, std::string_view policy) {
  if (tank.reload(features, policy)) return;
  pdata::must(tank.system.load("c", fmt::format("0 {} error", tank.origin_sectors())));
  pdata::must(tank.system.resume("c"));
}

// Everything that users do. Errors are as good as answers.
void use(CacheTank& tank) {
  for (std::uint64_t block = 0; block < 8; ++block) {
    static_cast<void>(tank.read(block * kBlock));
    static_cast<void>(tank.write(block * kBlock + 1, 2, 50 + block));
  }
  static_cast<void>(tank.discard(2 * kBlock, 3 * kBlock));
  static_cast<void>(tank.flush());
  static_cast<void>(tank.system.status("c"));
  change_table(tank, "1 writethrough", "eager 0");
  static_cast<void>(tank.read(0));
  static_cast<void>(tank.write(kBlock, 1, 60));
  change_table(tank, "1 passthrough", "smq 0");
  static_cast<void>(tank.message("invalidate_cblocks 0-4"));
  static_cast<void>(tank.write(kBlock, 1, 61));
}

struct Tally {
  int refused = 0;
  int served = 0;
};

void attack(const CacheImages& good, std::uint32_t version, std::uint64_t block, MutableBytes bytes,
            const pdata::Validator& validator, Tally& tally) {
  validator.prepare(MetaBlock{block}, bytes);
  auto changed = std::make_shared<sim::DiskImage>(*good.metadata);
  changed->write(first_sector(MetaBlock{block}), bytes);
  const CacheImages bad{changed, good.fast, good.origin};
  for_seeds(1, [&](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution, {.cache_blocks = kPlaces, .images = bad}};
    const auto made =
        tank.system.create_with_table("c", tank.table(features_of(version), "eager 2 writeback 0"));
    if (made) {
      ++tally.served;
      use(tank);
      return;
    }
    ++tally.refused;
    EXPECT_STRNE(made.error().what, "");
    EXPECT_EQ(digest_of(tank.images()), digest_of(bad));
  });
}

// The words of every block's head and those in use behind it, each with every odd value.
void attack_all(std::uint32_t version) {
  constexpr std::size_t kHead = 32;
  CacheImages good;
  for_seeds(
      1, [&](sim::Execution& execution, std::uint64_t) { good = used_cache(execution, version); });
  std::size_t words = 0;
  std::array<Tally, 2> tallies{};   // of the superblock, of others
  for (std::uint64_t block = 0; block < good.metadata->sectors() / kMetaBlockSectors; ++block) {
    const auto original = pdata::block_bytes(*good.metadata, block);
    const pdata::Validator* const validator = validator_of(block, original);
    if (validator == nullptr) continue;
    for (std::size_t at = 4; at < kMetaBlockSize; at += 4) {
      const auto before = view_as<Le32>(ConstBytes{original}.subspan(at)).value();
      if (at >= kHead && before == 0) continue;
      if (block != 0 && ++words % std::min(unit::sparse(), 8U) != 0) continue;
      for (const std::uint32_t odd :
           {0U, 1U, before + 1, before ^ 0x80U, before ^ 0x10000U, 253U, 0xffffffffU}) {
        if (odd == before) continue;
        auto bytes = original;
        view_as<Le32>(MutableBytes{bytes}.subspan(at)) = odd;
        attack(good, version, block, bytes, *validator, tallies[block == 0 ? 0 : 1]);
        if (::testing::Test::HasFailure())
          FAIL() << "block " << block << ", offset " << at << ": " << before << " -> " << odd;
      }
    }
  }
  for (const Tally& tally : tallies) {
    EXPECT_GT(tally.refused, 0);
    EXPECT_GT(tally.served, 0);
  }
}

TEST(CacheHostile, EveryFieldOfEveryKindOfBlockOfVersionOne) {
  attack_all(1);
}
TEST(CacheHostile, EveryFieldOfEveryKindOfBlockOfVersionTwo) {
  attack_all(2);
}

// What the mapping array says is looked at when the table becomes active.
TEST(CacheHostile, MappingsThatCannotBeAreRefusedWithAWordAboutThem) {
  for_seeds(1, [](sim::Execution& execution, std::uint64_t) {
    const CacheImages good = used_cache(execution, 1);
    const auto super = pdata::block_bytes(*good.metadata, 0);
    const MetaBlock root{view_as<SuperblockDisk>(ConstBytes{super}).mapping_root.value()};
    const auto node = pdata::block_bytes(*good.metadata, root.value());
    constexpr std::size_t kFirstValue = 2048;   // of a node with values of eight bytes
    const std::uint64_t array = view_as<Le64>(ConstBytes{node}.subspan(kFirstValue)).value();
    const auto refusal = [&](std::uint32_t place, std::uint64_t entry) -> std::string {
      auto bytes = pdata::block_bytes(*good.metadata, array);
      view_as<Le64>(MutableBytes{bytes}.subspan(24 + 8 * place)) = entry;
      pdata::kArrayValidator.prepare(MetaBlock{array}, bytes);
      auto changed = std::make_shared<sim::DiskImage>(*good.metadata);
      changed->write(first_sector(MetaBlock{array}), bytes);
      const CacheImages bad{changed, good.fast, good.origin};
      CacheTank tank{execution, {.cache_blocks = kPlaces, .images = bad}};
      const auto made = tank.system.create_with_table("c", tank.table());
      EXPECT_EQ(digest_of(tank.images()), digest_of(bad));
      return made ? "" : made.error().what;
    };
    EXPECT_EQ(refusal(3, std::uint64_t{8} << 16U | 1U), "mapping beyond the origin");
    EXPECT_EQ(refusal(3, ~std::uint64_t{0} << 16U | 1U), "mapping beyond the origin");
    EXPECT_EQ(refusal(3, std::uint64_t{1} << 16U | 1U), "origin block mapped twice");
    EXPECT_EQ(refusal(3, std::uint64_t{7} << 16U | 5U), "flags of a mapping");
  });
}

}   // namespace
}   // namespace engine::cache
