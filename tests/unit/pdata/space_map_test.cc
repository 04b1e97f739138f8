// Both space maps on a simulated device: format, reopening, fullness, growth, damage.
#include <deque>
#include <map>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/pdata/meta_tank.h"

namespace engine::pdata {
namespace {

sim::DiskImageRef fresh_pool(std::uint64_t blocks, std::uint64_t data_blocks = 0) {
  return in_tank({.blocks = blocks}, [&](BlockDevice& device) {
    BlockManager manager{device};
    const auto pool = must(TestPool::create(manager));
    must(pool->data_map().extend_to(data_blocks));
    pool->trans_id = ~std::uint64_t{0};   // the commit makes it 0
    must(pool->commit());
  });
}
std::uint32_t checksum(const sim::DiskImage& image, std::uint64_t block) {
  return view_as<Le32>(ConstBytes{block_bytes(image, block)}).value();
}

// The old superblock still finds a sound pool in the image after the next commit.
void expect_last_commit_intact(const sim::DiskImage& before, const sim::DiskImage& after) {
  sim::DiskImage mixed = after;
  mixed.write(Sector{0}, block_bytes(before, 0));
  expect_sound(mixed);
}

TEST(SpaceMap, AFreshPoolIsTheKernelsToTheByte) {
  // docs/format/: 2048 blocks, as formatted by Linux, with zeroes for the superblock's padding.
  const auto image = fresh_pool(2048);
  EXPECT_EQ(checksum(*image, 0), 0x069ac8d3U);
  EXPECT_EQ(checksum(*image, 1), 0x18e0660aU);
  EXPECT_EQ(checksum(*image, 2), 0xc360e452U);
  EXPECT_EQ(checksum(*image, 3), 0xa19f6375U);
  EXPECT_EQ(checksum(*image, 4), 0x787f52c8U);
  EXPECT_EQ(checksum(*image, 5), 0x41bfaa04U);
  EXPECT_EQ(checksum(*image, 6), 0xcb3dda35U);
  EXPECT_EQ(checksum(*image, 7), 0xb1c81346U);
  expect_sound(*image);
}

TEST(SpaceMap, OpensWhatItWroteWithAllCounts) {
  const auto image = fresh_pool(128, kEntriesPerBitmap + 100);
  std::map<std::uint64_t, std::uint32_t> expected;
  const auto changed = in_tank({.image = image}, [&](BlockDevice& device) {
    BlockManager blocks{device};
    const auto pool = must(TestPool::open(blocks));
    for (std::uint64_t i = 0; i < 400; ++i) {
      const DataBlock block = must(allocate(pool->data_map()));
      expected[block.value()] = static_cast<std::uint32_t>(1 + i % 6);
      for (std::uint64_t n = 0; n < i % 6; ++n)
        must(pool->data_map().inc(block));
    }
    must(pool->add_sharing_devices(1, 50));
    must(pool->commit());
  });
  expect_sound(*changed);
  in_tank({.image = changed}, [&](BlockDevice& device) {
    BlockManager blocks{device};
    const auto pool = must(TestPool::open(blocks));
    EXPECT_EQ(pool->data_map().nr_blocks(), kEntriesPerBitmap + 100);
    EXPECT_EQ(pool->data_map().nr_allocated(), 400U);
    for (const auto& [block, count] : expected)
      EXPECT_EQ(must(pool->data_map().ref_count(DataBlock{block})), count);
    EXPECT_EQ(must(pool->data_map().ref_count(DataBlock{401})), 0U);
    for (const auto& [block, count] : expected) {
      for (std::uint32_t n = 0; n < count; ++n)
        must(pool->data_map().dec(DataBlock{block}));
      EXPECT_EQ(code_of(pool->data_map().dec(DataBlock{block})), Errc::corrupt);
      EXPECT_EQ(code_of(pool->data_map().inc(DataBlock{block})), Errc::corrupt);
    }
    EXPECT_EQ(pool->data_map().nr_allocated(), 0U);
    must(pool->remove_devices(1, 49));
    must(pool->commit());
    expect_sound(*static_cast<sim::SimDevice&>(device).snapshot());
  });
}

TEST(SpaceMap, OpeningAndReadingChangesNothing) {
  const auto image = fresh_pool(64, 1000);
  const auto after = in_tank({.image = image}, [](BlockDevice& device) {
    BlockManager blocks{device};
    const auto pool = must(TestPool::open(blocks));
    EXPECT_FALSE(pool->tm().changed());
    EXPECT_EQ(must(pool->tm().ref_count(MetaBlock{0})), 1U);
  });
  EXPECT_EQ(after->digest(), image->digest());
}

TEST(SpaceMap, ALaterCommitLeavesEveryBlockOfTheLastOneAlone) {
  auto image = fresh_pool(64, 1000);
  std::deque<DataBlock> allocated;
  for (std::uint64_t round = 0; round < 40; ++round) {
    const auto before = image;
    image = in_tank({.image = before}, [&](BlockDevice& device) {
      BlockManager blocks{device};
      const auto pool = must(TestPool::open(blocks));
      allocated.push_back(must(allocate(pool->data_map())));
      if (round > 5) {
        must(pool->data_map().dec(allocated.front()));
        allocated.pop_front();
      }
      if (round % 4 == 1) must(pool->add_sharing_devices(round, 4));
      if (round % 4 == 3) must(pool->remove_devices(round - 2, 3));
      must(pool->commit());
    });
    expect_sound(*image);
    expect_last_commit_intact(*before, *image);
  }
}

TEST(SpaceMap, BitmapsMoveWhenOnlyTheMoveOfAnotherChangedThem) {
  auto image = fresh_pool(4 * kEntriesPerBitmap, 10);
  in_tank({.image = image}, [&](BlockDevice& device) {
    auto& disk = static_cast<sim::SimDevice&>(device);
    BlockManager blocks{device};
    const auto pool = must(TestPool::open(blocks));
    for (std::uint64_t round = 0; round < 30; ++round) {
      // Moves the cursor on, so that the bitmaps come to lie far from what they count.
      std::vector<MetaBlock> passed;
      for (std::uint64_t i = 0; i < 3000 + 1000 * (round % 7); ++i)
        passed.push_back(must(pool->metadata_map().allocate()));
      for (const MetaBlock block : passed)
        must(pool->metadata_map().dec(block));
      must(pool->commit());
      const auto after = disk.snapshot();
      expect_sound(*after);
      expect_last_commit_intact(*image, *after);
      image = after;
    }
  });
}

TEST(SpaceMap, MetadataRunsFullCleanlyAndCanBeAborted) {
  const auto image = fresh_pool(24, 10);
  const auto after = in_tank({.image = image}, [](BlockDevice& device) {
    BlockManager blocks{device};
    {
      const auto pool = must(TestPool::open(blocks));
      EXPECT_EQ(pool->metadata_map().nr_reserve(), 2U);
      std::uint64_t got = 0;
      const std::uint64_t free = pool->metadata_map().nr_free();
      for (;;) {
        auto block = pool->tm().new_block(kBitmapValidator);
        if (!block) {
          EXPECT_EQ(block.error().code, Errc::no_metadata_space);
          break;
        }
        ++got;
      }
      EXPECT_EQ(got, free);
      EXPECT_EQ(pool->metadata_map().nr_free(), 0U);
      EXPECT_EQ(pool->metadata_map().nr_free_beyond_reserve(), 0U);
      EXPECT_EQ(code_of(pool->tm().shadow(pool->mapping_root, kNodeValidator)),
                Errc::no_metadata_space);
      EXPECT_EQ(code_of(pool->commit()), Errc::no_metadata_space);
    }
    blocks.abandon();
    const auto pool = must(TestPool::open(blocks));
    must(allocate(pool->data_map()));
    must(pool->commit());
  });
  expect_sound(*after);
}

TEST(SpaceMap, AnyAmountOfFreeMetadataEitherCommitsOrAborts) {
  // Whatever is left when a transaction ends, its commit works or says that there is no room.
  for (std::uint64_t leave = 0; leave < 12; ++leave) {
    const auto image = fresh_pool(40, 10);
    bool committed = false;
    const auto after = in_tank({.image = image}, [&](BlockDevice& device) {
      BlockManager blocks{device};
      const auto pool = must(TestPool::open(blocks));
      must(pool->add_sharing_devices(1, 4));
      must(allocate(pool->data_map()));
      // Chains of devices, each with a mapping tree of its own, to fill the device.
      for (std::uint64_t id = 10; pool->metadata_map().nr_free() > leave; ++id) {
        if (const auto added = pool->add_sharing_devices(id, 1); !added) {
          EXPECT_EQ(added.error().code, Errc::no_metadata_space);
          return;
        }
      }
      const auto result = pool->commit();
      committed = result.has_value();
      EXPECT_TRUE(result || result.error().code == Errc::no_metadata_space);
    });
    expect_sound(*after);
    EXPECT_TRUE(committed || leave <= 8) << leave;
  }
}

TEST(SpaceMap, DataRunsFullAndFreedBlocksComeBackWithTheCommit) {
  in_tank({.image = fresh_pool(64, 10)}, [](BlockDevice& device) {
    BlockManager blocks{device};
    const auto pool = must(TestPool::open(blocks));
    SpaceMapDisk& map = pool->data_map();
    for (std::uint64_t i = 0; i < 10; ++i)
      EXPECT_EQ(must(allocate(map)), DataBlock{i});
    EXPECT_EQ(code_of(allocate(map)), Errc::no_data_space);
    must(pool->commit());
    must(map.dec(DataBlock{4}));
    EXPECT_EQ(map.nr_free(), 1U);
    EXPECT_EQ(map.nr_allocatable(), 0U);
    EXPECT_EQ(code_of(allocate(map)), Errc::no_data_space);
    must(pool->commit());
    EXPECT_EQ(map.nr_allocatable(), 1U);
    EXPECT_EQ(must(allocate(map)), DataBlock{4});
  });
}

// A commit that comes while contents are written has nothing of it.
TEST(SpaceMap, AStagedBlockIsNobodyElsesAndNotOnDisk) {
  const auto image = in_tank({.image = fresh_pool(64, 3)}, [](BlockDevice& device) {
    BlockManager blocks{device};
    const auto pool = must(TestPool::open(blocks));
    SpaceMapDisk& map = pool->data_map();
    const DataBlock taken = must(map.stage());
    const DataBlock lost = must(map.stage());
    const DataBlock unused = must(map.stage());
    EXPECT_FALSE(map.changed());
    EXPECT_EQ(map.nr_free(), 0U);
    EXPECT_EQ(must(map.ref_count(taken)), 0U);
    EXPECT_EQ(code_of(map.stage()), Errc::no_data_space);
    map.unstage(unused);
    EXPECT_EQ(must(map.stage()), unused);   // without a commit
    map.unstage(unused);
    must(pool->add_sharing_devices(1, 1));
    must(pool->commit());
    EXPECT_EQ(map.nr_staged(), 2U);
    map.take_staged(taken);
    EXPECT_TRUE(map.changed());
    EXPECT_EQ(must(map.ref_count(taken)), 1U);
    must(pool->commit());
    EXPECT_EQ(map.staged(), std::vector{lost});
    EXPECT_EQ(map.root().nr_allocated, 1U);
  });
  in_tank({.image = image}, [](BlockDevice& device) {
    BlockManager blocks{device};
    const auto pool = must(TestPool::open(blocks));
    EXPECT_EQ(pool->data_map().nr_allocated(), 1U);
    EXPECT_EQ(pool->data_map().nr_staged(), 0U);
    EXPECT_EQ(pool->data_map().nr_free(), 2U);
  });
}

TEST(SpaceMap, DataGrowsWithinABitmapAndBeyond) {
  auto image = fresh_pool(64, 100);
  for (const std::uint64_t size :
       {std::uint64_t{150}, kEntriesPerBitmap, kEntriesPerBitmap + 1, 3 * kEntriesPerBitmap + 7}) {
    image = in_tank({.image = image}, [&](BlockDevice& device) {
      BlockManager blocks{device};
      const auto pool = must(TestPool::open(blocks));
      EXPECT_EQ(code_of(pool->data_map().extend_to(pool->data_map().nr_blocks() - 1)),
                Errc::invalid);
      must(pool->data_map().extend_to(size));
      EXPECT_TRUE(pool->data_map().changed());
      must(pool->commit());
      while (pool->data_map().nr_allocatable() != 0)
        must(allocate(pool->data_map()));
      must(pool->commit());
    });
    expect_sound(*image);
  }
  in_tank({.image = image}, [](BlockDevice& device) {
    BlockManager blocks{device};
    const auto pool = must(TestPool::open(blocks));
    EXPECT_EQ(pool->data_map().nr_allocated(), 3 * kEntriesPerBitmap + 7);
  });
}

TEST(SpaceMap, MetadataGrowsEvenWhenItIsFull) {
  auto image = in_tank({.image = fresh_pool(40, 10)}, [](BlockDevice& device) {
    BlockManager blocks{device};
    const auto pool = must(TestPool::open(blocks));
    // As full as it can be committed.
    for (std::uint64_t id = 1; pool->metadata_map().nr_free() > 6; ++id)
      must(pool->add_sharing_devices(id, 1));
    must(pool->commit());
  });
  for (const std::uint64_t size :
       {std::uint64_t{41}, std::uint64_t{100}, kEntriesPerBitmap + 1, 3 * kEntriesPerBitmap}) {
    const auto before = image;
    image = in_tank({.blocks = size, .image = image}, [&](BlockDevice& device) {
      BlockManager blocks{device};
      const auto pool = must(TestPool::open(blocks));
      EXPECT_EQ(code_of(pool->metadata_map().extend_to(10)), Errc::invalid);
      must(pool->metadata_map().extend_to(size));
      EXPECT_EQ(pool->metadata_map().nr_blocks(), size);
      must(pool->commit());
    });
    expect_sound(*image);
    expect_last_commit_intact(*before, *image);
  }
  in_tank({.image = image}, [](BlockDevice& device) {
    BlockManager blocks{device};
    const auto pool = must(TestPool::open(blocks));
    EXPECT_EQ(pool->metadata_map().nr_blocks(), 3 * kEntriesPerBitmap);
    std::uint64_t got = 0;
    while (pool->metadata_map().allocate())
      ++got;
    EXPECT_GT(got, 3 * kEntriesPerBitmap - 60);
  });
}

TEST(SpaceMap, MetadataIsBoundedByItsIndex) {
  in_tank({.blocks = 300 * kEntriesPerBitmap}, [](BlockDevice& device) {
    BlockManager blocks{device};
    const auto pool = must(TestPool::create(blocks));
    EXPECT_EQ(pool->metadata_map().nr_blocks(), kMetadataBlocksMax);
    must(pool->commit());
    must(pool->metadata_map().extend_to(400 * kEntriesPerBitmap));
    EXPECT_EQ(pool->metadata_map().nr_blocks(), kMetadataBlocksMax);
    EXPECT_FALSE(pool->tm().changed());
  });
}

// Rewrites one field of one block, with the checksum that belongs to it.
sim::DiskImageRef forged(const sim::DiskImage& image, std::uint64_t block,
                         const Validator& validator, std::size_t offset, std::uint64_t value,
                         std::size_t size = 8) {
  auto copy = std::make_shared<sim::DiskImage>(image);
  auto bytes = block_bytes(image, block);
  for (std::size_t i = 0; i < size; ++i)
    bytes[offset + i] = static_cast<std::byte>(value >> 8 * i);
  validator.prepare(MetaBlock{block}, bytes);
  copy->write(first_sector(MetaBlock{block}), bytes);
  return copy;
}
Errc open_code(const sim::DiskImageRef& image, std::uint64_t seed = 0) {
  Errc code = Errc::ok;
  in_tank({.seed = seed, .image = image}, [&](BlockDevice& device) {
    BlockManager blocks{device};
    code = code_of(TestPool::open(blocks));
  });
  return code;
}

TEST(SpaceMap, FieldsThatLieAreCorruption) {
  const auto image = fresh_pool(64, 100);
  const auto super = [&](std::size_t offset, std::uint64_t value) {
    return open_code(forged(*image, 0, kSuperblockValidator, offset, value));
  };
  EXPECT_EQ(open_code(image), Errc::ok);
  const std::uint64_t index =
      view_as<TestSuperblock>(ConstBytes{block_bytes(*image, 0)}).metadata_map.bitmap_root.value();
  for (const std::uint64_t bad :
       {std::uint64_t{0}, std::uint64_t{63}, std::uint64_t{64}, ~std::uint64_t{0}}) {
    EXPECT_EQ(super(192 + 16, bad), Errc::corrupt) << bad;   // index block
    EXPECT_EQ(super(192 + 24, bad), Errc::corrupt) << bad;   // overflow tree
    EXPECT_EQ(super(64 + 16, bad), Errc::corrupt) << bad;    // data index tree
    EXPECT_EQ(open_code(forged(*image, index, kIndexValidator, 16, bad)), Errc::corrupt) << bad;
  }
  for (const std::uint64_t bad :
       {std::uint64_t{0}, std::uint64_t{65}, kMetadataBlocksMax + 1, ~std::uint64_t{0}})
    EXPECT_EQ(super(192, bad), Errc::corrupt) << bad;   // metadata blocks
  for (const std::uint64_t bad :
       {kEntriesPerBitmap + 1, std::uint64_t{1} << 40, std::uint64_t{1} << 60, ~std::uint64_t{0}})
    EXPECT_EQ(super(64, bad), Errc::corrupt) << bad;   // data blocks
  // The count of block 0, and of the index block, is zero; of a bitmap, two.
  EXPECT_EQ(open_code(forged(*image, 3, kBitmapValidator, 16, 0xa8, 1)), Errc::corrupt);
  EXPECT_EQ(open_code(forged(*image, 3, kBitmapValidator, 16, 0xa2, 1)), Errc::corrupt);
  EXPECT_EQ(open_code(forged(*image, 3, kBitmapValidator, 16, 0x6a, 1)), Errc::corrupt);
  // An overflow that has no entry.
  EXPECT_EQ(open_code(forged(*image, 3, kBitmapValidator, 19, 0xc0, 1)), Errc::corrupt);
}

TEST(SpaceMap, WrongFreeCountsAreRecountedAndMended) {
  const auto image = fresh_pool(64, 100);
  const std::uint64_t index =
      view_as<TestSuperblock>(ConstBytes{block_bytes(*image, 0)}).metadata_map.bitmap_root.value();
  for (const std::uint64_t bad : {std::uint64_t{0}, std::uint64_t{100}, ~std::uint64_t{0}}) {
    auto wrong = forged(*image, index, kIndexValidator, 16 + 8, bad);   // both counts at once
    wrong = forged(*wrong, 0, kSuperblockValidator, 64 + 8, bad);
    wrong = forged(*wrong, 0, kSuperblockValidator, 192 + 8, bad);
    const auto mended = in_tank({.image = wrong}, [](BlockDevice& device) {
      BlockManager blocks{device};
      const auto pool = must(TestPool::open(blocks));
      EXPECT_FALSE(pool->tm().changed());
      EXPECT_EQ(pool->data_map().nr_allocatable(), 100U);
      EXPECT_GT(pool->metadata_map().nr_free(), 40U);
      must(pool->commit());
    });
    expect_sound(*mended);
  }
}

TEST(SpaceMap, AnOpeningThatFailsLeavesNoReadUnderWay) {
  // The block manager goes at once, while the reads ahead of other bitmaps may still be out.
  const auto image = fresh_pool(6 * kEntriesPerBitmap, 6 * kEntriesPerBitmap);
  const auto data_index =
      view_as<TestSuperblock>(ConstBytes{block_bytes(*image, 0)}).data_map.bitmap_root.value();
  const auto bitmap = view_as<Le64>(ConstBytes{block_bytes(*image, data_index)}.subspan(1376));
  for (const std::uint64_t damaged : {std::uint64_t{3}, bitmap.value()}) {
    auto copy = std::make_shared<sim::DiskImage>(*image);
    copy->write(first_sector(MetaBlock{damaged}), std::vector<std::byte>(kMetaBlockSize));
    for (std::uint64_t seed = 0; seed < 20; ++seed)
      EXPECT_EQ(open_code(copy, seed), Errc::corrupt);
  }
}

TEST(SpaceMap, TwoBitmapsInOneBlockAreCorruption) {
  const auto image = fresh_pool(kEntriesPerBitmap + 100, 100);
  EXPECT_EQ(open_code(forged(*image, 1, kIndexValidator, 32, 3)), Errc::corrupt);
}

TEST(SpaceMap, WrongFreeCountsOfDataAreMendedToo) {
  const auto image = fresh_pool(64, 100);
  const auto tree =
      view_as<TestSuperblock>(ConstBytes{block_bytes(*image, 0)}).data_map.bitmap_root.value();
  const auto before = block_bytes(*image, tree);
  constexpr std::size_t kFirstValue = 1376;
  const auto& entry = view_as<IndexEntryDisk>(ConstBytes{before}.subspan(kFirstValue));
  EXPECT_EQ(entry.nr_free.value(), kEntriesPerBitmap);
  const auto wrong = forged(*image, tree, kNodeValidator, kFirstValue + 8, 3, 4);
  const auto mended = in_tank({.image = wrong}, [](BlockDevice& device) {
    BlockManager blocks{device};
    const auto pool = must(TestPool::open(blocks));
    EXPECT_EQ(pool->data_map().nr_allocatable(), 100U);
    must(pool->commit());
  });
  expect_sound(*mended);
}

TEST(SpaceMap, CountsBeyondTheMapAreCorruption) {
  in_tank({.image = fresh_pool(64, 100)}, [](BlockDevice& device) {
    BlockManager blocks{device};
    const auto pool = must(TestPool::open(blocks));
    EXPECT_EQ(code_of(pool->data_map().inc(DataBlock{100})), Errc::corrupt);
    EXPECT_EQ(code_of(pool->data_map().dec(DataBlock{99})), Errc::corrupt);
    EXPECT_EQ(code_of(pool->tm().inc(MetaBlock{64})), Errc::corrupt);
    EXPECT_EQ(code_of(pool->tm().dec(MetaBlock{60})), Errc::corrupt);
    EXPECT_EQ(code_of(pool->tm().shadow(MetaBlock{60}, kNodeValidator)), Errc::corrupt);
    EXPECT_EQ(code_of(pool->tm().shadow(MetaBlock{~std::uint64_t{0}}, kNodeValidator)),
              Errc::corrupt);
  });
}

}   // namespace
}   // namespace engine::pdata
