// The simulated disk: what a power cut may leave.
#include <array>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/sim/sim_device_requests.h"

namespace sim {
namespace {

TEST(SimDevice, ACutKeepsWhatWasFlushedOrFua) {
  for_seeds(300, [&](Execution& execution) {
    SimDevice device{execution, "disk", {.sectors = 64}};
    EXPECT_EQ(do_io(device, BioOp::write, 0, 8, 1), Errc::ok);
    EXPECT_EQ(do_io(device, BioOp::flush, 0, 0), Errc::ok);
    EXPECT_EQ(do_io(device, BioOp::write, 8, 8, 2, true), Errc::ok);
    EXPECT_EQ(do_io(device, BioOp::write, 19, 2, 3, true), Errc::ok);   // part of a page
    device.power_cut();
    for (std::uint64_t s = 0; s < 8; ++s) {
      EXPECT_EQ(first_byte(*device.crash_image(), s), 1);
      EXPECT_EQ(first_byte(*device.crash_image(), s + 8), 2);
    }
    EXPECT_EQ(first_byte(*device.crash_image(), 18), 0);
    EXPECT_EQ(first_byte(*device.crash_image(), 19), 3);
    EXPECT_EQ(first_byte(*device.crash_image(), 21), 0);
  });
}

TEST(SimDevice, FuaKeepsOnlyItsOwnSectors) {
  std::set<int> neighbours;
  for_seeds(300, [&](Execution& execution) {
    SimDevice device{execution, "disk", {.sectors = 64}};
    EXPECT_EQ(do_io(device, BioOp::write, 0, 4, 1), Errc::ok);
    EXPECT_EQ(do_io(device, BioOp::write, 4, 4, 2, true), Errc::ok);
    device.power_cut();
    EXPECT_EQ(first_byte(*device.crash_image(), 4), 2);
    neighbours.insert(first_byte(*device.crash_image(), 0));
  });
  EXPECT_EQ(neighbours, (std::set<int>{0, 1}));
}

TEST(SimDevice, ACutKeepsAnySubsetOfUnflushedSectors) {
  std::set<std::vector<int>> subsets;
  for_seeds(2000, [&](Execution& execution) {
    SimDevice device{execution, "disk", {.sectors = 64}};
    EXPECT_EQ(do_io(device, BioOp::write, 0, 3, 1), Errc::ok);
    EXPECT_EQ(do_io(device, BioOp::flush, 0, 0), Errc::ok);
    EXPECT_EQ(do_io(device, BioOp::write, 0, 3, 2), Errc::ok);
    device.power_cut();
    std::vector<int> left;
    for (std::uint64_t s = 0; s < 3; ++s)
      left.push_back(first_byte(*device.crash_image(), s));
    for (const int byte : left)
      EXPECT_TRUE(byte == 1 || byte == 2) << byte;
    subsets.insert(left);
  });
  EXPECT_EQ(subsets.size(), 8U);
}

// Neither the last flushed nor the latest alone.
TEST(SimDevice, ACutLeavesAnyVersionSinceTheFlush) {
  std::set<std::vector<int>> left;
  for_seeds(3000, [&](Execution& execution) {
    SimDevice device{execution, "disk", {.sectors = 64}};
    EXPECT_EQ(do_io(device, BioOp::write, 0, 8, 1), Errc::ok);
    EXPECT_EQ(do_io(device, BioOp::write, 0, 8, 2), Errc::ok);
    EXPECT_EQ(do_io(device, BioOp::flush, 0, 0), Errc::ok);
    for (const int fill : {3, 4, 5})
      EXPECT_EQ(do_io(device, BioOp::write, 0, 2, fill), Errc::ok);
    device.power_cut();
    left.insert({first_byte(*device.crash_image(), 0), first_byte(*device.crash_image(), 1)});
  });
  std::set<std::vector<int>> all;
  for (const int a : {2, 3, 4, 5}) {
    for (const int b : {2, 3, 4, 5})
      all.insert({a, b});
  }
  EXPECT_EQ(left, all);
}

TEST(SimDevice, ADurableSectorHasNoOlderVersions) {
  std::set<int> neighbours;
  for_seeds(1000, [&](Execution& execution) {
    SimDevice device{execution, "disk", {.sectors = 64}};
    EXPECT_EQ(do_io(device, BioOp::write, 0, 2, 1), Errc::ok);
    EXPECT_EQ(do_io(device, BioOp::write, 0, 2, 2), Errc::ok);
    EXPECT_EQ(do_io(device, BioOp::write, 1, 1, 3, true), Errc::ok);
    device.power_cut();
    neighbours.insert(first_byte(*device.crash_image(), 0));
    EXPECT_EQ(first_byte(*device.crash_image(), 1), 3);
  });
  EXPECT_EQ(neighbours, (std::set<int>{0, 1, 2}));
}

TEST(SimDevice, WithoutVersionsOnlyTheOldestAndTheLatestAreLeft) {
  for_seeds(500, [&](Execution& execution) {
    SimDevice device{execution, "disk", {.sectors = 64, .keeps_versions = false}};
    EXPECT_EQ(do_io(device, BioOp::write, 0, 1, 1), Errc::ok);
    EXPECT_EQ(do_io(device, BioOp::write, 0, 1, 2), Errc::ok);
    device.power_cut();
    EXPECT_NE(first_byte(*device.crash_image(), 0), 1);
  });
}

TEST(SimDevice, AtomicSectorsStayTogether) {
  for_seeds(300, [&](Execution& execution) {
    SimDevice device{execution, "disk", {.sectors = 64, .atomic_sectors = 8}};
    EXPECT_EQ(do_io(device, BioOp::write, 0, 16, 2), Errc::ok);
    device.power_cut();
    for (std::uint64_t s = 0; s < 16; ++s)
      EXPECT_EQ(first_byte(*device.crash_image(), s), first_byte(*device.crash_image(), s / 8 * 8));
  });
}

TEST(SimDevice, AFlushCoversOnlyWhatTookEffectBeforeIt) {
  // A write in flight together with the flush may be lost.
  std::set<int> left;
  for_seeds(500, [&](Execution& execution) {
    SimDevice device{execution, "disk", {.sectors = 64}};
    engine::Completion ended{"ended", 2};
    Request write{BioOp::write, 0, 8, 5};
    Request flush{BioOp::flush, 0, 0};
    for (Request* const request : {&write, &flush}) {
      request->bio.owner = &ended;
      request->bio.end_io = [](Bio& bio) { static_cast<engine::Completion*>(bio.owner)->signal(); };
      device.submit(request->bio);
    }
    ended.wait();
    device.power_cut();
    left.insert(first_byte(*device.crash_image(), 0));
  });
  EXPECT_EQ(left, (std::set<int>{0, 5}));
}

TEST(SimDevice, AWriteInFlightAtTheCutMayBeTorn) {
  std::set<std::vector<int>> left;
  for_seeds(2000, [&](Execution& execution) {
    SimDevice device{execution, "disk", {.sectors = 64}};
    Sent write{BioOp::write, 0, 3, 5, true};
    write.submit(device);
    device.power_cut();
    left.insert({first_byte(*device.crash_image(), 0), first_byte(*device.crash_image(), 1),
                 first_byte(*device.crash_image(), 2)});
    write.wait();
    EXPECT_EQ(write.bio.status, Errc::power_lost);
  });
  EXPECT_EQ(left.size(), 8U);
}

TEST(SimDevice, ADiscardInFlightAtTheCutMayHaveHappenedToAnyOfItsSectors) {
  const auto lefts = [](DiscardLeaves leaves) {
    std::set<std::string> left;
    for_seeds(5000, [&](Execution& execution) {
      SimDevice device{execution, "disk", {.sectors = 64, .discard_leaves = leaves}};
      EXPECT_EQ(do_io(device, BioOp::write, 0, 4, 'a', true), Errc::ok);
      Sent discard{BioOp::discard, 0, 3};
      discard.submit(device);
      device.power_cut();
      left.insert(letters_of(*device.crash_image(), 0, 3));
      EXPECT_EQ(letters_of(*device.crash_image(), 3, 1), "a");
      discard.wait();
    });
    return left;
  };
  EXPECT_EQ(lefts(DiscardLeaves::old_data), (std::set<std::string>{"aaa"}));
  EXPECT_EQ(lefts(DiscardLeaves::zeroes),
            (std::set<std::string>{"aaa", "aa.", "a.a", "a..", ".aa", ".a.", "..a", "..."}));
  EXPECT_EQ(lefts(DiscardLeaves::garbage).size(), 8U);
  EXPECT_EQ(lefts(DiscardLeaves::chosen).size(), 27U);
}

TEST(SimDevice, AfterTheCutEverythingEndsWithPowerLost) {
  for_seeds(50, [&](Execution& execution) {
    SimDevice device{execution, "disk", {.sectors = 64}};
    device.power_cut();
    EXPECT_FALSE(device.powered());
    EXPECT_EQ(do_io(device, BioOp::read, 0, 8), Errc::power_lost);
    EXPECT_EQ(do_io(device, BioOp::write, 0, 8, 9), Errc::power_lost);
    EXPECT_EQ(do_io(device, BioOp::flush, 0, 0), Errc::power_lost);
    EXPECT_EQ(first_byte(*device.crash_image(), 0), 0);
    SimDevice next{execution, "disk", {.image = device.crash_image()}};
    EXPECT_EQ(next.limits().sectors, 64U);
    EXPECT_EQ(do_io(next, BioOp::write, 0, 8, 9), Errc::ok);
    EXPECT_EQ(first_byte(*device.crash_image(), 0), 0);   // shared until written
  });
}

TEST(SimDevice, ImagesAreSharedUntilWritten) {
  auto image = std::make_shared<DiskImage>(4096);
  std::array<std::byte, kSectorSize> sector;
  sector.fill(std::byte{42});
  image->write(Sector{9}, sector);
  const std::uint64_t digest = image->digest();
  for_seeds(20, [&](Execution& execution) {
    SimDevice device{execution, "disk", {.image = image}};
    Request read{BioOp::read, 8, 2};
    EXPECT_TRUE(submit_and_wait(device, read.bio));
    EXPECT_EQ(static_cast<int>(read.buffer.data()[0]), 0);
    EXPECT_EQ(static_cast<int>(read.buffer.data()[kSectorSize]), 42);
    EXPECT_EQ(do_io(device, BioOp::write, 9, 1, 1), Errc::ok);
    EXPECT_EQ(do_io(device, BioOp::write_zeroes, 0, 9), Errc::ok);
    EXPECT_EQ(byte_now(device, 9), 1);
    EXPECT_EQ(first_byte(*device.snapshot(), 9), 1);
    EXPECT_EQ(first_byte(*device.durable_snapshot(), 9), 42);
  });
  EXPECT_EQ(image->digest(), digest);
  EXPECT_EQ(image->page(1)->references, 1U);
}

}   // namespace
}   // namespace sim
