// Arrays and bitsets: their bytes, growing and shrinking, and what damaged ones do.
#include <gtest/gtest.h>

#include "engine/pdata/bitset.h"
#include "tests/unit/pdata/array_tank.h"

namespace engine::pdata {
namespace {

template <typename Body>
void with_pool(Body&& body) {
  in_tank({.blocks = 512}, [&](sim::SimDevice& device) {
    BlockManager blocks{device};
    const auto pool = must(TestPool::create(blocks));
    must(pool->commit());
    body(*pool);
    blocks.quiesce();
  });
}

std::vector<std::uint64_t> numbers(std::uint64_t from, std::uint64_t count) {
  std::vector<std::uint64_t> result;
  for (std::uint64_t i = 0; i < count; ++i)
    result.push_back(from + i);
  return result;
}

MetaBlock number(Array<Le64>& array, MetaBlock root, std::uint64_t size) {
  return must(
      array.update(root, size, [](std::uint64_t i, const Le64&) { return le64(i + 1000); }));
}

TEST(Array, HasLinuxsCapacities) {
  with_pool([](TestPool& pool) {
    EXPECT_EQ(Array<Le64>{pool.tm()}.capacity(), 509);
    EXPECT_EQ(Array<Le32>{pool.tm()}.capacity(), 1018);
  });
}

TEST(Array, ShrinkingLeavesNoBlockBehind) {
  with_pool([](TestPool& pool) {
    Array<Le64> array{pool.tm()};
    for (const std::uint64_t to : {508U, 509U, 510U, 1U, 0U, 600U, 1018U, 1019U, 1500U}) {
      SCOPED_TRACE(to);
      MetaBlock root = must(array.make_empty());
      root = must(array.resize(root, 0, 1200, le64(0)));
      root = number(array, root, 1200);
      root = must(array.resize(root, 1200, to, le64(7)));
      const ArrayShape shape = inspect_array(pool.tm(), root, 8, 509, to);
      EXPECT_EQ(shape.error, "");
      EXPECT_EQ(must(array.stored_size(root)), to);
      std::vector<std::uint64_t> expected = numbers(1000, std::min<std::uint64_t>(to, 1200));
      expected.resize(to, 7);
      EXPECT_EQ(shape.values, expected);
      must(array.destroy(root));
      EXPECT_EQ(blocks_in_use(pool.tm()), kEmptyPoolBlocks);
    }
  });
}

// What Linux leaves after 600 -> 509: the second block, with 91 entries, all of them stale.
TEST(Array, WhatLinuxLeavesBehindTheEndIsRemovedByAnyResize) {
  with_pool([](TestPool& pool) {
    Array<Le64> array{pool.tm()};
    for (const std::uint64_t to : {509U, 508U, 510U, 600U, 1100U}) {
      SCOPED_TRACE(to);
      MetaBlock root = must(array.make_empty());
      root = number(array, must(array.resize(root, 0, 600, le64(0))), 600);
      EXPECT_EQ(must(array.stored_size(root)), 600);
      std::uint64_t seen = 0;
      must(array.walk(root, 509, [&](std::uint64_t, const Le64&) -> Result<void> {
        ++seen;
        return {};
      }));
      EXPECT_EQ(seen, 509);
      root = must(array.resize(root, 509, to, le64(7)));
      const ArrayShape shape = inspect_array(pool.tm(), root, 8, 509, to);
      EXPECT_EQ(shape.error, "");
      for (std::uint64_t i = 509; i < to; ++i)
        ASSERT_EQ(shape.values[i], 7) << i;
      must(array.destroy(root));
    }
  });
}

TEST(Array, UpdateTouchesOnlyBlocksThatChange) {
  with_pool([](TestPool& pool) {
    Array<Le64> array{pool.tm()};
    MetaBlock root = must(array.make_empty());
    root = number(array, must(array.resize(root, 0, 2000, le64(0))), 2000);
    must(pool.commit());
    EXPECT_EQ(number(array, root, 2000), root);
    EXPECT_FALSE(pool.tm().changed());
    const auto before = inspect_array(pool.tm(), root, 8, 509, 2000).blocks;
    root = must(array.update(
        root, 2000, [](std::uint64_t i, const Le64& old) { return i == 1400 ? le64(5) : old; }));
    const ArrayShape after = inspect_array(pool.tm(), root, 8, 509, 2000);
    EXPECT_EQ(after.error, "");
    EXPECT_EQ(after.values[1400], 5);
    EXPECT_EQ(after.values[1399], 2399);
    std::uint64_t moved = 0;
    for (const std::uint64_t block : after.blocks)
      moved += before.contains(block) ? 0 : 1;
    EXPECT_EQ(moved, 2) << "the tree's leaf and one array block";
  });
}

TEST(Array, MissingAndForeignBlocksAreCorrupt) {
  with_pool([](TestPool& pool) {
    Array<Le64> array{pool.tm()};
    Array<Le32> narrow{pool.tm()};
    Array<Le64> other_capacity{pool.tm(), {.entries = 100}};
    const auto nothing = [](std::uint64_t, const auto&) -> Result<void> { return {}; };
    MetaBlock root = must(array.make_empty());
    root = must(array.resize(root, 0, 600, le64(1)));
    EXPECT_EQ(code_of(array.get(root, 600)), Errc::corrupt);
    EXPECT_EQ(code_of(array.get(root, 5000)), Errc::corrupt);
    EXPECT_EQ(code_of(array.set(root, 5000, le64(1))), Errc::corrupt);
    EXPECT_EQ(code_of(array.walk(root, 601, nothing)), Errc::corrupt);
    EXPECT_EQ(code_of(array.walk(root, 2000, nothing)), Errc::corrupt);
    EXPECT_EQ(code_of(array.resize(root, 700, 800, le64(1))), Errc::corrupt);
    EXPECT_EQ(code_of(narrow.walk(root, 600, nothing)), Errc::corrupt);
    EXPECT_EQ(code_of(other_capacity.walk(root, 600, nothing)), Errc::corrupt);
    EXPECT_EQ(code_of(array.get(MetaBlock{100000}, 0)), Errc::corrupt);
  });
}

// As in an image made by Linux: 8 words for 512 bits.
TEST(Bitset, LiesOnDiskAsLinuxHasIt) {
  with_pool([](TestPool& pool) {
    Bitset bits{pool.tm()};
    MetaBlock root = must(bits.make_empty());
    root = must(bits.resize(root, 0, 512));
    for (const std::uint64_t bit : {0, 31, 63, 64, 127, 199})
      root = must(bits.set(root, bit, true));
    root = must(bits.flush(root));
    const ArrayShape shape = inspect_array(pool.tm(), root, 8, 509, 8);
    EXPECT_EQ(shape.error, "");
    EXPECT_EQ(shape.values, (std::vector<std::uint64_t>{0x8000000080000001, 0x8000000000000001, 0,
                                                        0x80, 0, 0, 0, 0}));
  });
}

TEST(Bitset, BitsPastTheEndAreNoiseWhenReadAndZeroesWhenWritten) {
  with_pool([](TestPool& pool) {
    Array<Le64> words{pool.tm()};
    Bitset bits{pool.tm()};
    MetaBlock root = must(words.make_empty());
    root = must(words.resize(root, 0, 2, le64(UINT64_MAX)));
    std::uint64_t seen = 0;
    must(bits.walk(root, 70, [&](std::uint64_t) -> Result<void> {
      ++seen;
      return {};
    }));
    EXPECT_EQ(seen, 70);
    root = must(bits.resize(root, 70, 200));
    EXPECT_TRUE(must(bits.get(root, 69)));
    EXPECT_FALSE(must(bits.get(root, 70)));
    EXPECT_FALSE(must(bits.get(root, 127)));
    root = must(bits.assign(root, 200, [](std::uint64_t) { return true; }));
    root = must(bits.resize(root, 200, 130));
    EXPECT_EQ(must(words.get(root, 2)).value(), 3);
    EXPECT_EQ(must(words.stored_size(root)), 3);
  });
}

TEST(Bitset, KeepsOneWordInMemoryUntilItIsFlushed) {
  with_pool([](TestPool& pool) {
    Array<Le64> words{pool.tm()};
    Bitset bits{pool.tm()};
    MetaBlock root = must(bits.make_empty());
    root = must(bits.resize(root, 0, 130));
    root = must(bits.set(root, 3, true));
    EXPECT_FALSE(bits.flushed());
    EXPECT_TRUE(must(bits.get(root, 3)));
    EXPECT_EQ(must(words.get(root, 0)).value(), 0);
    root = must(bits.set(root, 129, true));   // another word: the first goes out
    EXPECT_EQ(must(words.get(root, 0)).value(), 8);
    root = must(bits.flush(root));
    EXPECT_TRUE(bits.flushed());
    EXPECT_EQ(must(words.get(root, 2)).value(), 2);
  });
}

}   // namespace
}   // namespace engine::pdata
