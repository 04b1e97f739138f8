// The block manager on real threads: readers on several reactors, one writer, a cache too small for
// all, reads ahead. Run under ThreadSanitizer it also proves the raw locks.
#include <atomic>

#include <gtest/gtest.h>

#include "engine/fiber/completion.h"
#include "engine/pdata/block_manager.h"
#include "real-io/uring_device.h"
#include "tests/unit/real_io/fixture.h"

namespace real_io {
namespace {

using engine::Completion;
using engine::ConstBytes;
using engine::Errc;
using engine::kMetaBlockSize;
using engine::Le64;
using engine::MetaBlock;
using engine::view_as;
using engine::pdata::BlockManager;
using engine::pdata::kBitmapValidator;

constexpr std::uint64_t kBlocks = 400;
constexpr std::uint32_t kReactors = 3;
constexpr std::uint32_t kReads = 4000;

class BlockManagerThreads : public RealIoTest {};

// The same number at both ends, or else the bytes were changed while they were held.
void expect_whole(ConstBytes bytes) {
  EXPECT_EQ(view_as<Le64>(bytes.subspan(64)).value(), view_as<Le64>(bytes.subspan(4000)).value());
}

void write_block(BlockManager& blocks, std::uint64_t block, std::uint64_t value, bool fresh) {
  auto ref = fresh ? blocks.write_zero(MetaBlock{block}, kBitmapValidator)
                   : blocks.write(MetaBlock{block}, kBitmapValidator);
  ASSERT_TRUE(ref) << ref.error().what;
  view_as<Le64>(ref->bytes().subspan(64)) = value;
  view_as<Le64>(ref->bytes().subspan(4000)) = value;
}

void read_blocks(BlockManager& blocks, std::uint32_t seed) {
  std::uint32_t state = seed * 2654435761U + 1;
  for (std::uint32_t i = 0; i < kReads; ++i) {
    state = state * 1664525U + 1013904223U;
    const MetaBlock block{1 + (state >> 8) % (kBlocks - 1)};
    if (state % 16 == 0) blocks.prefetch(block, kBitmapValidator);
    auto ref = blocks.try_read(block, kBitmapValidator);
    if (!ref) {
      EXPECT_EQ(ref.error().code, Errc::would_block);
      ref = blocks.read(block, kBitmapValidator);
    }
    ASSERT_TRUE(ref) << ref.error().what;
    expect_whole(ref->bytes());
  }
}

TEST_F(BlockManagerThreads, ReadersOnSeveralReactorsAndOneWriter) {
  const TemporaryFile file{kBlocks * kMetaBlockSize};
  UringExecutor executor{UringExecutor::Options{.reactors = kReactors, .reactor = {}}};
  auto device = UringDevice::open(executor, file.path());
  ASSERT_TRUE(device.has_value());
  executor.run([&] {
    BlockManager blocks{**device, {.cache_blocks_max = 256}};
    for (std::uint64_t i = 1; i < kBlocks; ++i)
      write_block(blocks, i, i, true);
    ASSERT_TRUE(blocks.flush());
    Completion ended{"ended", 2 * kReactors};
    for (std::uint32_t reader = 0; reader < 2 * kReactors; ++reader) {
      executor.spawn_on(reader % kReactors, "reader", [&, reader] {
        read_blocks(blocks, reader);
        ended.signal();
      });
    }
    for (std::uint64_t i = 0; i < 2000; ++i) {
      write_block(blocks, 1 + i * 7 % (kBlocks - 1), i, false);
      if (i % 100 == 0) {
        ASSERT_TRUE(blocks.flush());
      }
    }
    ASSERT_TRUE(blocks.flush());
    ended.wait();
    blocks.quiesce();
    EXPECT_LE(blocks.cached_blocks(), 400U);
  });
}

TEST_F(BlockManagerThreads, AbandonUnderReaders) {
  const TemporaryFile file{kBlocks * kMetaBlockSize};
  UringExecutor executor{UringExecutor::Options{.reactors = kReactors, .reactor = {}}};
  auto device = UringDevice::open(executor, file.path());
  ASSERT_TRUE(device.has_value());
  executor.run([&] {
    BlockManager blocks{**device, {.cache_blocks_max = 256}};
    for (std::uint64_t i = 1; i < kBlocks; ++i)
      write_block(blocks, i, i, true);
    ASSERT_TRUE(blocks.flush());
    std::atomic<std::uint32_t> reading{2 * kReactors};
    Completion ended{"ended", 2 * kReactors};
    for (std::uint32_t reader = 0; reader < 2 * kReactors; ++reader) {
      executor.spawn_on(reader % kReactors, "reader", [&, reader] {
        read_blocks(blocks, reader);
        --reading;
        ended.signal();
      });
    }
    while (reading != 0) {
      blocks.abandon();
      engine::yield_now();
    }
    ended.wait();
    blocks.quiesce();
  });
}

}   // namespace
}   // namespace real_io
