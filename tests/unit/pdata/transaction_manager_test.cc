// Copy-on-write, and transactions that are whole or not at all: after a failed commit, an abort, a
// power cut.
#include "engine/pdata/transaction_manager.h"

#include <algorithm>
#include <map>
#include <vector>

#include <gtest/gtest.h>

#include "engine/fiber/completion.h"
#include "tests/unit/pdata/meta_tank.h"
#include "tests/unit/sparse.h"

namespace engine::pdata {
namespace {

// Small nodes, so that the space maps' trees have several.
constexpr std::uint32_t kFanOut = 6;

sim::DiskImageRef small_pool(std::uint64_t blocks, std::uint64_t data_blocks) {
  return in_tank({.blocks = blocks}, [&](BlockDevice& device) {
    BlockManager manager{device};
    const auto pool = must(TestPool::create(manager, kFanOut));
    must(pool->data_map().extend_to(data_blocks));
    must(pool->commit());
  });
}

TEST(TransactionManager, ShadowsOnceATransaction) {
  in_tank({.image = small_pool(64, 10)}, [](BlockDevice& device) {
    BlockManager blocks{device};
    const auto pool = must(TestPool::open(blocks, kFanOut));
    TransactionManager& tm = pool->tm();
    const MetaBlock old = pool->mapping_root;
    auto first = must(tm.shadow(old, kNodeValidator));
    const MetaBlock fresh = first.ref.block();
    EXPECT_NE(fresh, old);
    EXPECT_FALSE(first.inc_children);
    first.ref.release();
    EXPECT_EQ(must(tm.ref_count(old)), 0U);
    EXPECT_EQ(must(tm.ref_count(fresh)), 1U);
    EXPECT_EQ(must(tm.shadow(fresh, kNodeValidator)).ref.block(), fresh);
    pool->mapping_root = fresh;
    must(pool->commit());
    EXPECT_NE(must(tm.shadow(fresh, kNodeValidator)).ref.block(), fresh);
  });
}

TEST(TransactionManager, ASharedBlockIsCopiedEvenWhenNew) {
  in_tank({.image = small_pool(64, 10)}, [](BlockDevice& device) {
    BlockManager blocks{device};
    const auto pool = must(TestPool::open(blocks, kFanOut));
    TransactionManager& tm = pool->tm();
    const MetaBlock block = must(Btree<Le64>{tm}.make_empty());
    must(tm.inc(block));
    EXPECT_TRUE(must(tm.is_shared(block)));
    const auto shadow = must(tm.shadow(block, kNodeValidator));
    EXPECT_NE(shadow.ref.block(), block);
    EXPECT_TRUE(shadow.inc_children);
    EXPECT_EQ(must(tm.ref_count(block)), 1U);
    EXPECT_FALSE(must(tm.is_shared(block)));
  });
}

TEST(TransactionManager, DoesNotGiveOutABlockThatIsFreeByMistakeAndHeld) {
  // A map that calls the mapping root free: found out, at the latest, when the block is taken.
  const auto image = small_pool(64, 10);
  auto copy = std::make_shared<sim::DiskImage>(*image);
  auto bytes = block_bytes(*image, 3);
  bytes[16 + 1] &= std::byte{0xcf};   // block 6
  kBitmapValidator.prepare(MetaBlock{3}, bytes);
  copy->write(first_sector(MetaBlock{3}), bytes);
  in_tank({.image = copy}, [](BlockDevice& device) {
    BlockManager blocks{device};
    const auto pool = must(TestPool::open(blocks, kFanOut));
    EXPECT_EQ(pool->mapping_root, MetaBlock{6});
    const WriteRef held = must(blocks.write(MetaBlock{6}, kNodeValidator));
    EXPECT_EQ(code_of(pool->tm().new_block(kNodeValidator)), Errc::corrupt);
  });
}

TEST(TransactionManager, EveryFailingTransferLeavesTheLastCommit) {
  const auto image = small_pool(64, 100);
  std::uint64_t failures = 0;
  for (std::uint64_t nth = 1; nth < 40; ++nth) {
    const sim::FaultPlan faults{.rules = {{.nth = nth}}};
    const auto after = in_tank({.image = image, .faults = faults}, [&](BlockDevice& device) {
      BlockManager blocks{device};
      for (int attempt = 0; attempt < 3; ++attempt) {
        {
          const auto attempt_once = [&]() -> Result<void> {
            ENGINE_TRY_ASSIGN(const auto pool, TestPool::open(blocks, kFanOut));
            if (pool->trans_id != 1) return {};
            EXPECT_EQ(pool->data_map().nr_allocated(), 0U);
            ENGINE_TRY(pool->add_sharing_devices(1, 5));
            ENGINE_TRY(allocate(pool->data_map()));
            return pool->commit();
          };
          if (const auto result = attempt_once(); !result) {
            EXPECT_EQ(result.error().code, Errc::io_error);
            ++failures;
          }
        }
        blocks.abandon();
      }
      auto opened = TestPool::open(blocks, kFanOut);   // the fault may have been spared for now
      if (!opened) opened = TestPool::open(blocks, kFanOut);
      EXPECT_EQ(must(std::move(opened))->data_map().nr_allocated(), 1U);
    });
    expect_sound(*after);
  }
  EXPECT_GT(failures, 10U);
}

// What a pool holds after each of its commits.
struct State {
  std::map<std::uint64_t, std::uint32_t> data_counts;
  std::uint64_t devices = 0;
};

Result<void> one_transaction(TestPool& pool, State& state, sim::Execution& world) {
  for (std::uint32_t i = 0; i < 4; ++i) {
    switch (world.choose("operation", 4)) {
      case 0: {
        const auto block = allocate(pool.data_map());
        if (!block) {
          EXPECT_EQ(block.error().code, Errc::no_data_space);
          break;
        }
        EXPECT_FALSE(state.data_counts.contains(block->value()));
        state.data_counts[block->value()] = 1;
        break;
      }
      case 1:
        if (state.data_counts.empty()) break;
        for (auto& [block, count] : state.data_counts) {
          ENGINE_TRY(pool.data_map().inc(DataBlock{block}));
          ++count;
        }
        break;
      case 2: {
        const std::uint32_t bound = 1 + world.choose("freed", 4);
        for (auto it = state.data_counts.begin(); it != state.data_counts.end();) {
          ENGINE_TRY(pool.data_map().dec(DataBlock{it->first}));
          --it->second;
          it = it->second == 0 ? state.data_counts.erase(it) : std::next(it);
          if (it != state.data_counts.end() && it->first % 5 >= bound) break;
        }
        break;
      }
      default:
        ENGINE_TRY(pool.add_sharing_devices(1 + 4 * state.devices, 4));
        if (state.devices > 0) ENGINE_TRY(pool.remove_devices(1 + 4 * (state.devices - 1), 4));
        ++state.devices;
        break;
    }
  }
  return pool.commit();
}

TEST(TransactionManager, APowerCutLeavesOneOfTheCommitsNeverAMix) {
  const auto image = small_pool(96, 6);
  std::map<std::uint64_t, std::uint64_t> cut_after;
  for (std::uint64_t seed = 0; seed < 600; seed += std::min(unit::sparse(), 5U)) {
    std::vector<State> states{State{}};   // by transaction id, less one
    std::uint64_t acknowledged = 1;
    const auto left = in_tank({.seed = seed, .image = image}, [&](BlockDevice& device) {
      auto& disk = static_cast<sim::SimDevice&>(device);
      BlockManager blocks{device, {.cache_blocks_max = seed % 3 == 0 ? 6U : 64U}};
      Completion ended{"ended"};
      const std::uint32_t turns = disk.execution().choose("turns", 200);
      current_executor().spawn("cutter", [&, turns] {
        for (std::uint32_t i = 0; i < turns; ++i)
          yield_now();
        disk.power_cut();
        ended.signal();
      });
      if (auto opened = TestPool::open(blocks, kFanOut)) {
        TestPool& pool = **opened;
        for (int i = 0; i < 4; ++i) {
          State next = states.back();
          const auto result = one_transaction(pool, next, disk.execution());
          states.push_back(next);
          if (!result) {
            EXPECT_EQ(result.error().code, Errc::power_lost) << result.error().what;
            break;
          }
          acknowledged = pool.trans_id;
        }
      }
      ended.wait();
      blocks.abandon();
    });
    expect_sound(*left);
    in_tank({.image = left}, [&](BlockDevice& device) {
      BlockManager blocks{device};
      const auto pool = must(TestPool::open(blocks, kFanOut));
      EXPECT_GE(pool->trans_id, acknowledged) << seed;
      ASSERT_LE(pool->trans_id, states.size()) << seed;
      const State& state = states[pool->trans_id - 1];
      ++cut_after[pool->trans_id];
      EXPECT_EQ(pool->data_map().nr_allocated(), state.data_counts.size()) << seed;
      for (const auto& [block, count] : state.data_counts)
        EXPECT_EQ(must(pool->data_map().ref_count(DataBlock{block})), count) << seed;
    });
  }
  EXPECT_EQ(cut_after.size(), 5U);   // after each of them, at some time
}

TEST(TransactionManager, LongHistoriesStaySound) {
  for (std::uint64_t seed = 0; seed < 10; seed += std::min(unit::sparse(), 5U)) {
    const auto image =
        in_tank({.seed = seed, .image = small_pool(256, 30)}, [&](BlockDevice& device) {
          auto& disk = static_cast<sim::SimDevice&>(device);
          BlockManager blocks{device, {.cache_blocks_max = 16}};
          const auto pool = must(TestPool::open(blocks, kFanOut));
          State state;
          for (int i = 0; i < 60; ++i) {
            must(one_transaction(*pool, state, disk.execution()));
            if (i % 10 == 0) expect_sound(*disk.snapshot());
          }
          EXPECT_EQ(pool->data_map().nr_allocated(), state.data_counts.size());
        });
    expect_sound(*image);
  }
}

}   // namespace
}   // namespace engine::pdata
