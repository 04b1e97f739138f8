// The block manager: what is cached, what is checked, and when things become durable.
#include "engine/pdata/block_manager.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "engine/fiber/completion.h"
#include "tests/unit/pdata/meta_tank.h"
#include "tests/unit/sparse.h"

namespace engine::pdata {
namespace {

constexpr Validator kOther{"other", 4711};

void put(BlockManager& blocks, std::uint64_t block, std::uint64_t value) {
  WriteRef ref = must(blocks.write_zero(MetaBlock{block}, kBitmapValidator));
  view_as<Le64>(ref.bytes().subspan(64)) = value;
  view_as<Le64>(ref.bytes().subspan(4000)) = value;
}
std::uint64_t get(ConstBytes bytes) {
  return view_as<Le64>(bytes.subspan(64)).value();
}
std::uint64_t get(BlockManager& blocks, std::uint64_t block) {
  const ReadRef ref = must(blocks.read(MetaBlock{block}, kBitmapValidator));
  return get(ref.bytes());
}
void fill_superblock(MutableBytes bytes, std::uint64_t value) {
  view_as<Le64>(bytes.subspan(64)) = value;
}
Result<void> commit(BlockManager& blocks, std::uint64_t value) {
  return blocks.commit_superblock([&](MutableBytes bytes) { fill_superblock(bytes, value); });
}
std::uint64_t superblock(BlockManager& blocks) {
  return get(must(blocks.read(MetaBlock{0}, kSuperblockValidator)).bytes());
}

sim::DiskImageRef with_blocks(std::uint64_t count) {
  return in_tank({}, [&](BlockDevice& device) {
    BlockManager blocks{device};
    for (std::uint64_t i = 1; i <= count; ++i)
      put(blocks, i, 100 + i);
    must(commit(blocks, 1));
  });
}

TEST(BlockManager, ReadsBackWhatItWrote) {
  in_tank({.image = with_blocks(20)}, [](BlockDevice& device) {
    BlockManager blocks{device};
    EXPECT_EQ(blocks.nr_blocks(), 64U);
    for (std::uint64_t i = 1; i <= 20; ++i)
      EXPECT_EQ(get(blocks, i), 100 + i);
    EXPECT_EQ(superblock(blocks), 1U);
  });
}

TEST(BlockManager, WritesNumberAndChecksumOfTheType) {
  const auto bytes = block_bytes(*with_blocks(3), 3);
  EXPECT_EQ(view_as<Le64>(ConstBytes{bytes}.subspan(8)).value(), 3U);
  EXPECT_TRUE(kBitmapValidator.check(MetaBlock{3}, bytes));
  EXPECT_EQ(code_of(kIndexValidator.check(MetaBlock{3}, bytes)), Errc::corrupt);
}

TEST(BlockManager, NamesBlockAndFieldOfDamage) {
  const auto good = with_blocks(6);
  auto image = *good;
  auto bytes = block_bytes(image, 2);
  bytes[4000] ^= std::byte{1};
  image.write(first_sector(MetaBlock{2}), bytes);
  image.write(first_sector(MetaBlock{3}), block_bytes(image, 4));   // misdirected
  in_tank({.image = std::make_shared<sim::DiskImage>(image)}, [](BlockDevice& device) {
    BlockManager blocks{device};
    const auto torn = blocks.read(MetaBlock{2}, kBitmapValidator);
    ASSERT_FALSE(torn);
    EXPECT_EQ(torn.error(), (Error{Errc::corrupt, 2}));
    EXPECT_STREQ(torn.error().what, "block checksum");
    const auto misplaced = blocks.read(MetaBlock{3}, kBitmapValidator);
    ASSERT_FALSE(misplaced);
    EXPECT_STREQ(misplaced.error().what, "block number stored in the block");
    EXPECT_EQ(code_of(blocks.read(MetaBlock{5}, kOther)), Errc::corrupt);
    EXPECT_EQ(get(blocks, 5), 105U);   // a failure leaves nothing cached
    EXPECT_EQ(code_of(blocks.read(MetaBlock{5}, kOther)), Errc::corrupt);
    EXPECT_EQ(code_of(blocks.write(MetaBlock{5}, kOther)), Errc::corrupt);
    EXPECT_EQ(code_of(blocks.try_read(MetaBlock{5}, kOther)), Errc::corrupt);
    EXPECT_EQ(code_of(blocks.read(MetaBlock{64}, kBitmapValidator)), Errc::corrupt);
    EXPECT_EQ(code_of(blocks.read(MetaBlock{~std::uint64_t{0}}, kBitmapValidator)), Errc::corrupt);
    EXPECT_EQ(code_of(blocks.write(MetaBlock{0}, kBitmapValidator)), Errc::corrupt);
  });
}

TEST(BlockManager, TryReadNeverWaits) {
  in_tank({.image = with_blocks(2)}, [](BlockDevice& device) {
    BlockManager blocks{device};
    const auto try_read = [&] {
      const ContextScope caller{ContextKind::caller};
      return blocks.try_read(MetaBlock{1}, kBitmapValidator);
    };
    EXPECT_EQ(code_of(try_read()), Errc::would_block);
    EXPECT_EQ(get(blocks, 1), 101U);
    EXPECT_EQ(get(must(try_read()).bytes()), 101U);
    const WriteRef ref = must(blocks.write(MetaBlock{1}, kBitmapValidator));
    EXPECT_EQ(code_of(try_read()), Errc::would_block);
  });
}

TEST(BlockManager, TryReadWouldBlockWhileTheBlockIsRead) {
  in_tank({.image = with_blocks(2)}, [](BlockDevice& device) {
    BlockManager blocks{device};
    blocks.prefetch(MetaBlock{1}, kBitmapValidator);
    const auto early = blocks.try_read(MetaBlock{1}, kBitmapValidator);
    EXPECT_TRUE(early || early.error().code == Errc::would_block);
    blocks.quiesce();
    EXPECT_TRUE(blocks.try_read(MetaBlock{1}, kBitmapValidator));
    EXPECT_EQ(static_cast<sim::SimDevice&>(device).submissions(), 1U);
  });
}

TEST(BlockManager, ManyReadersShareOneTransfer) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    in_tank({.seed = seed, .image = with_blocks(2)}, [](BlockDevice& device) {
      BlockManager blocks{device};
      Completion ended{"ended", 4};
      for (int i = 0; i < 4; ++i) {
        current_executor().spawn("reader", [&] {
          EXPECT_EQ(get(blocks, 1), 101U);
          ended.signal();
        });
      }
      ended.wait();
      EXPECT_EQ(static_cast<sim::SimDevice&>(device).submissions(), 1U);
    });
  }
}

TEST(BlockManager, ReadersSeeAWriteWhollyOrNotAtAll) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    in_tank({.seed = seed, .image = with_blocks(2)}, [](BlockDevice& device) {
      BlockManager blocks{device};
      Completion ended{"ended", 3};
      for (int i = 0; i < 2; ++i) {
        current_executor().spawn("reader", [&] {
          for (int n = 0; n < 5; ++n) {
            const ReadRef ref = must(blocks.read(MetaBlock{1}, kBitmapValidator));
            const std::uint64_t first = get(ref.bytes());
            yield_now();
            EXPECT_EQ(view_as<Le64>(ref.bytes().subspan(4000)).value(), first);
          }
          ended.signal();
        });
      }
      current_executor().spawn("writer", [&] {
        for (std::uint64_t n = 0; n < 5; ++n) {
          WriteRef ref = must(blocks.write(MetaBlock{1}, kBitmapValidator));
          view_as<Le64>(ref.bytes().subspan(64)) = n;
          yield_now();
          view_as<Le64>(ref.bytes().subspan(4000)) = n;
        }
        must(blocks.flush());
        ended.signal();
      });
      ended.wait();
    });
  }
}

TEST(BlockManager, KeepsItsBoundButNoDirtyBlockIsLost) {
  const auto image = in_tank({.blocks = 300}, [](BlockDevice& device) {
    BlockManager blocks{device, {.cache_blocks_max = 8}};
    for (std::uint64_t i = 1; i < 250; ++i) {
      put(blocks, i, i);
      EXPECT_LE(blocks.cached_blocks(), 17U);   // so many that were dirty, and the eight allowed
    }
    must(blocks.flush());
    for (std::uint64_t i = 1; i < 250; ++i) {
      EXPECT_EQ(get(blocks, i), i);
      EXPECT_LE(blocks.cached_blocks(), 17U);
    }
    EXPECT_LE(blocks.cached_blocks(), 8U);
  });
  in_tank({.image = image}, [](BlockDevice& device) {
    BlockManager blocks{device};
    for (std::uint64_t i = 1; i < 250; ++i)
      EXPECT_EQ(get(blocks, i), i);
  });
}

TEST(BlockManager, DropsTheLeastRecentlyUsed) {
  in_tank({.image = with_blocks(40)}, [](BlockDevice& device) {
    BlockManager blocks{device, {.cache_blocks_max = 8}};
    for (std::uint64_t i = 2; i <= 40; ++i) {
      EXPECT_EQ(get(blocks, 1), 101U);
      EXPECT_EQ(get(blocks, i), 100 + i);
    }
    EXPECT_EQ(static_cast<sim::SimDevice&>(device).submissions(), 40U);   // each block once
  });
}

TEST(BlockManager, KeepsWhatIsHeld) {
  in_tank({.image = with_blocks(40)}, [](BlockDevice& device) {
    BlockManager blocks{device, {.cache_blocks_max = 4}};
    const ReadRef held = must(blocks.read(MetaBlock{1}, kBitmapValidator));
    for (std::uint64_t i = 2; i <= 40; ++i)
      EXPECT_EQ(get(blocks, i), 100 + i);
    EXPECT_TRUE(blocks.try_read(MetaBlock{1}, kBitmapValidator));
  });
}

TEST(BlockManager, WritesNothingEarlyThatIsBeingChanged) {
  in_tank({.image = with_blocks(1)}, [](BlockDevice& device) {
    const auto& disk = static_cast<const sim::SimDevice&>(device);
    BlockManager blocks{device, {.cache_blocks_max = 4}};
    WriteRef held = must(blocks.write(MetaBlock{1}, kBitmapValidator));
    view_as<Le64>(held.bytes().subspan(64)) = 7;
    for (std::uint64_t i = 2; i <= 40; ++i)
      put(blocks, i, i);
    std::vector<std::byte> bytes(kMetaBlockSize);
    disk.peek(first_sector(MetaBlock{1}), bytes);
    EXPECT_EQ(get(ConstBytes{bytes}), 101U);
    disk.peek(first_sector(MetaBlock{2}), bytes);
    EXPECT_EQ(get(ConstBytes{bytes}), 2U);
    held.release();
    must(blocks.flush());
    disk.peek(first_sector(MetaBlock{1}), bytes);
    EXPECT_EQ(get(ConstBytes{bytes}), 7U);
  });
}

TEST(BlockManager, ReadsTheSuperblockThatItCommitted) {
  in_tank({.image = with_blocks(1)}, [](BlockDevice& device) {
    BlockManager blocks{device};
    EXPECT_EQ(superblock(blocks), 1U);
    must(commit(blocks, 2));
    EXPECT_EQ(superblock(blocks), 2U);
  });
}

TEST(BlockManager, AReadErrorLeavesNothingBehind) {
  const sim::FaultPlan once{.rules = {{.ops = sim::kReads, .nth = 1}}};
  in_tank({.image = with_blocks(2), .faults = once}, [](BlockDevice& device) {
    BlockManager blocks{device};
    EXPECT_EQ(code_of(blocks.read(MetaBlock{1}, kBitmapValidator)), Errc::io_error);
    EXPECT_EQ(blocks.cached_blocks(), 0U);
    EXPECT_EQ(get(blocks, 1), 101U);
  });
}

TEST(BlockManager, EveryWaitingReaderHearsOfTheError) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const sim::FaultPlan always{.rules = {{.ops = sim::kReads, .one_in = 1, .count_max = 100}}};
    in_tank({.seed = seed, .image = with_blocks(2), .faults = always}, [](BlockDevice& device) {
      BlockManager blocks{device};
      Completion ended{"ended", 3};
      for (int i = 0; i < 3; ++i) {
        current_executor().spawn("reader", [&] {
          EXPECT_EQ(code_of(blocks.read(MetaBlock{1}, kBitmapValidator)), Errc::io_error);
          ended.signal();
        });
      }
      ended.wait();
      EXPECT_EQ(blocks.cached_blocks(), 0U);
    });
  }
}

TEST(BlockManager, AFailedWriteKeepsTheOldSuperblock) {
  const auto before = with_blocks(4);
  for (std::uint64_t nth = 1; nth <= 4; ++nth) {
    const sim::FaultPlan faults{.rules = {{.ops = sim::kWrites, .nth = nth}}};
    in_tank({.image = before, .faults = faults}, [&](BlockDevice& device) {
      BlockManager blocks{device};
      for (std::uint64_t i = 5; i <= 7; ++i)
        put(blocks, i, i);
      EXPECT_EQ(code_of(commit(blocks, 2)), Errc::io_error);
      blocks.abandon();
      EXPECT_EQ(superblock(blocks), 1U);
    });
  }
  const sim::FaultPlan faults{.rules = {{.ops = sim::kFlushes, .nth = 1}}};
  in_tank({.image = before, .faults = faults}, [](BlockDevice& device) {
    BlockManager blocks{device};
    put(blocks, 5, 5);
    EXPECT_EQ(code_of(commit(blocks, 2)), Errc::io_error);
    blocks.abandon();
    EXPECT_EQ(superblock(blocks), 1U);
  });
}

TEST(BlockManager, AfterAPowerCutTheSuperblockFindsAllThatItRefersTo) {
  std::uint64_t seen_new = 0;
  std::uint64_t seen_old = 0;
  const auto before = with_blocks(4);
  for (std::uint64_t seed = 0; seed < 400; seed += std::min(unit::sparse(), 3U)) {
    bool acknowledged = false;
    const auto left = in_tank({.seed = seed, .image = before}, [&](BlockDevice& device) {
      auto& disk = static_cast<sim::SimDevice&>(device);
      BlockManager blocks{device, {.cache_blocks_max = seed % 2 == 0 ? 4U : 64U}};
      Completion ended{"cutter"};
      const std::uint32_t turns = disk.execution().choose("turns", 60);
      current_executor().spawn("cutter", [&, turns] {
        for (std::uint32_t i = 0; i < turns; ++i)
          yield_now();
        disk.power_cut();
        ended.signal();
      });
      bool ok = true;
      for (std::uint64_t i = 10; ok && i < 20; ++i) {
        auto ref = blocks.write_zero(MetaBlock{i}, kBitmapValidator);
        ok = ref.has_value();
        if (ok) view_as<Le64>(ref->bytes().subspan(64)) = i;
      }
      acknowledged = ok && commit(blocks, 2).has_value() && disk.powered();
      ended.wait();
      blocks.abandon();
    });
    in_tank({.image = left}, [&](BlockDevice& device) {
      BlockManager blocks{device};
      const std::uint64_t super = superblock(blocks);
      EXPECT_TRUE(super == 2 || (super == 1 && !acknowledged)) << seed;
      (super == 2 ? seen_new : seen_old) += 1;
      for (std::uint64_t i = 10; super == 2 && i < 20; ++i)
        EXPECT_EQ(get(blocks, i), i) << seed;
      for (std::uint64_t i = 1; i <= 4; ++i)
        EXPECT_EQ(get(blocks, i), 100 + i);
    });
  }
  EXPECT_GT(seen_new, 20U / unit::sparse());
  EXPECT_GT(seen_old, 20U / unit::sparse());
}

TEST(BlockManager, ReadOnlyRefusesEveryWrite) {
  in_tank({.image = with_blocks(2)}, [](BlockDevice& device) {
    BlockManager blocks{device};
    blocks.set_read_only(true);
    EXPECT_EQ(code_of(blocks.write(MetaBlock{1}, kBitmapValidator)), Errc::read_only);
    EXPECT_EQ(code_of(blocks.write_zero(MetaBlock{9}, kBitmapValidator)), Errc::read_only);
    EXPECT_EQ(code_of(blocks.flush()), Errc::read_only);
    EXPECT_EQ(code_of(commit(blocks, 2)), Errc::read_only);
    EXPECT_EQ(get(blocks, 1), 101U);
    EXPECT_EQ(static_cast<sim::SimDevice&>(device).submissions(), 1U);
  });
}

TEST(BlockManager, AbandonForgetsWhatWasNotCommitted) {
  in_tank({.image = with_blocks(2)}, [](BlockDevice& device) {
    BlockManager blocks{device};
    ReadRef held = must(blocks.read(MetaBlock{2}, kBitmapValidator));
    put(blocks, 1, 999);
    blocks.prefetch(MetaBlock{2}, kBitmapValidator);
    blocks.abandon();
    EXPECT_EQ(blocks.cached_blocks(), 0U);
    EXPECT_EQ(blocks.dirty_blocks(), 0U);
    EXPECT_EQ(get(held.bytes()), 102U);
    held.release();
    EXPECT_EQ(get(blocks, 1), 101U);
  });
}

TEST(BlockManager, ABlockThatRefersToItselfIsDamageNotADeadlock) {
  in_tank({.image = with_blocks(2)}, [](BlockDevice& device) {
    BlockManager blocks{device};
    const WriteRef held = must(blocks.write(MetaBlock{1}, kBitmapValidator));
    EXPECT_EQ(code_of(blocks.read(MetaBlock{1}, kBitmapValidator)), Errc::corrupt);
    EXPECT_EQ(code_of(blocks.write(MetaBlock{1}, kBitmapValidator)), Errc::corrupt);
    EXPECT_EQ(code_of(blocks.write_zero(MetaBlock{1}, kBitmapValidator)), Errc::corrupt);
  });
}

TEST(BlockManager, ZeroingABlockOfAnotherTypeMakesItTheNewType) {
  in_tank({.image = with_blocks(2)}, [](BlockDevice& device) {
    BlockManager blocks{device};
    EXPECT_EQ(get(blocks, 1), 101U);
    must(blocks.write_zero(MetaBlock{1}, kIndexValidator)).release();
    EXPECT_EQ(get(must(blocks.read(MetaBlock{1}, kIndexValidator)).bytes()), 0U);
    must(blocks.flush());
    blocks.abandon();
    EXPECT_TRUE(blocks.read(MetaBlock{1}, kIndexValidator));
  });
}

TEST(BlockManager, GrowsWithItsDevice) {
  in_tank({.image = with_blocks(2)}, [](BlockDevice& device) {
    BlockManager blocks{device};
    static_cast<sim::SimDevice&>(device).resize(100 * kMetaBlockSectors + 7);
    EXPECT_EQ(code_of(blocks.write_zero(MetaBlock{70}, kBitmapValidator)), Errc::corrupt);
    blocks.update_size();
    EXPECT_EQ(blocks.nr_blocks(), 100U);
    put(blocks, 99, 5);
    must(blocks.flush());
  });
}

}   // namespace
}   // namespace engine::pdata
