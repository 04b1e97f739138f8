// Every promise of engine/env/block_device.h that can be seen from outside, for any device.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "engine/env/block_device.h"
#include "engine/env/buffer.h"
#include "engine/fiber/completion.h"
#include "engine/fiber/timer.h"
#include "tests/conformance/world.h"

namespace conformance {

using engine::AlignedBuffer;
using engine::Bio;
using engine::BioOp;
using engine::Sector;

// A request with a buffer of its own.
struct Transfer {
  Transfer(BioOp op, std::uint64_t sector, std::uint64_t sectors)
      : buffer{sectors * engine::kSectorSize} {
    bio.op = op;
    bio.sector = Sector{sector};
    bio.sectors = sectors;
    if (op == BioOp::read || op == BioOp::write) bio.data = buffer.data();
  }
  void fill(unsigned salt) {
    for (std::size_t i = 0; i < buffer.size(); ++i)
      buffer.data()[i] = static_cast<std::byte>((i / 512 + 1) * 31 + i * 7 + salt);
  }
  AlignedBuffer buffer;
  Bio bio;
};

// `op` at [sector, sector + sectors), waited for; `salt` tells one content from another.
inline void must(engine::BlockDevice& device, BioOp op, std::uint64_t sector, std::uint64_t sectors,
                 unsigned salt = 0, bool fua = false) {
  Transfer transfer{op, sector, sectors};
  if (op == BioOp::write) transfer.fill(salt);
  transfer.bio.fua = fua;
  const auto result = submit_and_wait(device, transfer.bio);
  EXPECT_TRUE(result) << to_string(op) << " at " << sector;
}

inline bool reads_as(engine::BlockDevice& device, std::uint64_t sector, std::uint64_t sectors,
                     unsigned salt) {
  Transfer read{BioOp::read, sector, sectors};
  Transfer expected{BioOp::read, sector, sectors};
  expected.fill(salt);
  EXPECT_TRUE(submit_and_wait(device, read.bio));
  return std::memcmp(read.buffer.data(), expected.buffer.data(), read.buffer.size()) == 0;
}

inline bool reads_as_zeroes(engine::BlockDevice& device, std::uint64_t sector,
                            std::uint64_t sectors) {
  Transfer read{BioOp::read, sector, sectors};
  EXPECT_TRUE(submit_and_wait(device, read.bio));
  return std::all_of(read.buffer.data(), read.buffer.data() + read.buffer.size(),
                     [](std::byte b) { return b == std::byte{0}; });
}

template <typename W>
class BlockDeviceSuite : public testing::Test {
 protected:
  W tested;
};
TYPED_TEST_SUITE_P(BlockDeviceSuite);

TYPED_TEST_P(BlockDeviceSuite, LimitsMakeSense) {
  World& world = this->tested;
  world.run([&world] {
    const engine::DeviceLimits limits = world.device().limits();
    EXPECT_GE(limits.sectors, 16384U);
    EXPECT_GE(limits.logical_block_sectors, 1U);
    EXPECT_EQ(limits.sectors % limits.logical_block_sectors, 0U);
    EXPECT_GE(limits.transfer_sectors_max, 128U);
  });
}

TYPED_TEST_P(BlockDeviceSuite, ReadsSeeWritesThatEnded) {
  World& world = this->tested;
  world.run([&world] {
    engine::BlockDevice& device = world.device();
    must(device, BioOp::write, 0, 8, 1);
    must(device, BioOp::write, 64, 128, 2);
    EXPECT_TRUE(reads_as(device, 0, 8, 1));
    EXPECT_TRUE(reads_as(device, 64, 128, 2));
    must(device, BioOp::write, 0, 8, 3, true);
    EXPECT_TRUE(reads_as(device, 0, 8, 3));
    EXPECT_TRUE(flush_and_wait(device));
    EXPECT_TRUE(reads_as(device, 0, 8, 3));
  });
}

TYPED_TEST_P(BlockDeviceSuite, SmallestTransfersTouchNothingElse) {
  World& world = this->tested;
  world.run([&world] {
    engine::BlockDevice& device = world.device();
    const std::uint64_t unit = device.limits().logical_block_sectors;
    for (std::uint64_t i = 0; i < 8; ++i)
      must(device, BioOp::write, i * unit, unit, static_cast<unsigned>(i));
    must(device, BioOp::write, 3 * unit, unit, 99);
    for (std::uint64_t i = 0; i < 8; ++i)
      EXPECT_TRUE(reads_as(device, i * unit, unit, i == 3 ? 99 : static_cast<unsigned>(i))) << i;
  });
}

TYPED_TEST_P(BlockDeviceSuite, EndsEachBioOnceInCompletionContextAndConsumed) {
  World& world = this->tested;
  world.run([&world] {
    struct State {
      std::atomic<int> ends{0};
      engine::Completion done{"done"};
    } state;
    Transfer transfer{BioOp::write, 16, 8};
    transfer.bio.owner = &state;
    transfer.bio.end_io = [](Bio& bio) {
      auto& s = *static_cast<State*>(bio.owner);
      EXPECT_FALSE(engine::may_block());
      EXPECT_EQ(bio.status, engine::Errc::ok);
      EXPECT_EQ(bio.sector, Sector{24});
      EXPECT_EQ(bio.sectors, 0U);
      ++s.ends;
      s.done.signal();
    };
    world.device().submit(transfer.bio);
    state.done.wait();
    EXPECT_EQ(transfer.bio.data, transfer.buffer.data() + transfer.buffer.size());
    engine::sleep_for(std::chrono::microseconds{100});
    EXPECT_EQ(state.ends, 1);
  });
}

TYPED_TEST_P(BlockDeviceSuite, ManyInFlightKeepApart) {
  World& world = this->tested;
  world.run([&world] {
    engine::BlockDevice& device = world.device();
    constexpr std::uint64_t kCount = 48;
    std::vector<std::unique_ptr<Transfer>> transfers;
    engine::Completion ended{"ended", kCount};
    for (std::uint64_t i = 0; i < kCount; ++i) {
      transfers.push_back(std::make_unique<Transfer>(BioOp::write, i * 16, 8 + i % 2 * 8));
      transfers.back()->fill(static_cast<unsigned>(i));
      Bio& bio = transfers.back()->bio;
      bio.owner = &ended;
      bio.end_io = [](Bio& done) {
        EXPECT_EQ(done.status, engine::Errc::ok);
        static_cast<engine::Completion*>(done.owner)->signal();
      };
      device.submit(bio);
    }
    ended.wait();
    for (std::uint64_t i = 0; i < kCount; ++i)
      EXPECT_TRUE(reads_as(device, i * 16, 8 + i % 2 * 8, static_cast<unsigned>(i))) << i;
  });
}

TYPED_TEST_P(BlockDeviceSuite, TakesBiosFromCompletions) {
  World& world = this->tested;
  world.run([&world] {
    struct Chain {
      engine::BlockDevice& device;
      Transfer second{BioOp::write, 8, 8};
      engine::Completion done{"done"};
    } chain{world.device()};
    chain.second.fill(8);
    chain.second.bio.owner = &chain;
    chain.second.bio.end_io = [](Bio& bio) { static_cast<Chain*>(bio.owner)->done.signal(); };
    Transfer first{BioOp::write, 0, 8};
    first.fill(7);
    first.bio.owner = &chain;
    first.bio.end_io = [](Bio& bio) {
      auto& c = *static_cast<Chain*>(bio.owner);
      c.device.submit(c.second.bio);
    };
    world.device().submit(first.bio);
    chain.done.wait();
    EXPECT_TRUE(reads_as(world.device(), 0, 8, 7));
    EXPECT_TRUE(reads_as(world.device(), 8, 8, 8));
  });
}

TYPED_TEST_P(BlockDeviceSuite, TakesBiosFromEveryThread) {
  World& world = this->tested;
  world.run([&world] {
    const std::uint32_t count = 2 * world.threads();
    engine::Completion ended{"ended", count};
    for (std::uint32_t i = 0; i < count; ++i) {
      world.spawn_on(i % world.threads(), "writer", [&, i] {
        must(world.device(), BioOp::write, i * 64, 64, i);
        ended.signal();
      });
    }
    ended.wait();
    for (std::uint32_t i = 0; i < count; ++i)
      EXPECT_TRUE(reads_as(world.device(), i * 64, 64, i)) << i;
  });
}

TYPED_TEST_P(BlockDeviceSuite, LongestTransferAndLastBlock) {
  World& world = this->tested;
  world.run([&world] {
    engine::BlockDevice& device = world.device();
    const engine::DeviceLimits limits = device.limits();
    const std::uint64_t longest = std::min<std::uint64_t>(limits.transfer_sectors_max, 2048);
    must(device, BioOp::write, 0, longest, 5);
    EXPECT_TRUE(reads_as(device, 0, longest, 5));
    const std::uint64_t last = limits.sectors - limits.logical_block_sectors;
    must(device, BioOp::write, last, limits.logical_block_sectors, 6);
    EXPECT_TRUE(reads_as(device, last, limits.logical_block_sectors, 6));
  });
}

TYPED_TEST_P(BlockDeviceSuite, ZeroesReadAsZeroesAndTouchNothingElse) {
  World& world = this->tested;
  world.run([&world] {
    engine::BlockDevice& device = world.device();
    must(device, BioOp::write, 0, 8, 1);
    must(device, BioOp::write, 8, 128, 2);
    must(device, BioOp::write, 136, 8, 3);
    must(device, BioOp::write_zeroes, 8, 128);
    EXPECT_TRUE(reads_as(device, 0, 8, 1));
    EXPECT_TRUE(reads_as_zeroes(device, 8, 128));
    EXPECT_TRUE(reads_as(device, 136, 8, 3));
    must(device, BioOp::write, 16, 8, 4);
    must(device, BioOp::write_zeroes, 8, 8, 0, true);
    EXPECT_TRUE(reads_as(device, 16, 8, 4));
  });
}

TYPED_TEST_P(BlockDeviceSuite, DiscardTouchesNothingElse) {
  World& world = this->tested;
  world.run([&world] {
    engine::BlockDevice& device = world.device();
    must(device, BioOp::write, 0, 384, 1);
    Transfer discard{BioOp::discard, 128, 128};
    const auto result = submit_and_wait(device, discard.bio);
    if (device.limits().discard_sectors_max == 0) {
      EXPECT_FALSE(result);
    } else {
      EXPECT_TRUE(result);
    }
    Transfer before{BioOp::read, 0, 128};
    Transfer after{BioOp::read, 256, 128};
    Transfer expected{BioOp::read, 0, 384};
    expected.fill(1);
    EXPECT_TRUE(submit_and_wait(device, before.bio));
    EXPECT_TRUE(submit_and_wait(device, after.bio));
    EXPECT_EQ(std::memcmp(before.buffer.data(), expected.buffer.data(), before.buffer.size()), 0);
    EXPECT_EQ(std::memcmp(after.buffer.data(),
                          expected.buffer.data() + 256 * std::size_t{engine::kSectorSize},
                          after.buffer.size()),
              0);
    must(device, BioOp::write, 128, 128, 2);
    EXPECT_TRUE(reads_as(device, 128, 128, 2));
  });
}

REGISTER_TYPED_TEST_SUITE_P(BlockDeviceSuite, LimitsMakeSense, ReadsSeeWritesThatEnded,
                            SmallestTransfersTouchNothingElse,
                            EndsEachBioOnceInCompletionContextAndConsumed, ManyInFlightKeepApart,
                            TakesBiosFromCompletions, TakesBiosFromEveryThread,
                            LongestTransferAndLastBlock, ZeroesReadAsZeroesAndTouchNothingElse,
                            DiscardTouchesNothingElse);

}   // namespace conformance
