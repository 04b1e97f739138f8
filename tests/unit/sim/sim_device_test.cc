// The simulated disk: when things take effect, what a power cut may leave, which faults strike.
#include "sim/sim_device.h"

#include <array>
#include <chrono>
#include <cstring>
#include <memory>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "engine/env/buffer.h"
#include "engine/fiber/spin_lock.h"
#include "engine/fiber/timer.h"
#include "sim/strategy_random.h"
#include "sim/strategy_replay.h"

namespace sim {
namespace {

using engine::AlignedBuffer;
using engine::Bio;
using engine::BioOp;
using engine::Errc;
using engine::kSectorSize;
using engine::Sector;

// A request whose sectors are filled with one byte.
struct Request {
  Request(BioOp op, std::uint64_t sector, std::uint64_t sectors, int fill = 0, bool fua = false)
      : buffer{sectors * kSectorSize} {
    std::memset(buffer.data(), fill, buffer.size());
    bio.op = op;
    bio.sector = Sector{sector};
    bio.sectors = sectors;
    bio.fua = fua;
    if (op == BioOp::read || op == BioOp::write) bio.data = buffer.data();
  }
  AlignedBuffer buffer;
  Bio bio;
};

Errc do_io(SimDevice& device, BioOp op, std::uint64_t sector, std::uint64_t sectors, int fill = 0,
           bool fua = false) {
  Request request{op, sector, sectors, fill, fua};
  const auto result = submit_and_wait(device, request.bio);
  return result ? Errc::ok : result.error().code;
}

int first_byte(const DiskImage& image, std::uint64_t sector) {
  std::array<std::byte, kSectorSize> bytes;
  image.read(Sector{sector}, bytes);
  for (const std::byte b : bytes)
    EXPECT_EQ(b, bytes[0]) << "sector " << sector << " is torn inside";
  return static_cast<int>(bytes[0]);
}

int byte_now(const SimDevice& device, std::uint64_t sector) {
  std::array<std::byte, kSectorSize> bytes;
  device.peek(Sector{sector}, bytes);
  return static_cast<int>(bytes[0]);
}

// Runs under many seeds; no finding may come.
template <typename Body>
void for_seeds(std::uint64_t seeds, const Body& body) {
  Execution execution;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    execution.reset({.seed = seed});
    const Outcome& outcome = execution.run([&] { body(execution); });
    ASSERT_FALSE(outcome.finding) << seed << ": " << outcome.finding->message << '\n'
                                  << outcome.finding->detail;
  }
}

TEST(SimDevice, OverlappingWritesInFlightTakeEffectInEitherOrder) {
  std::set<int> seen;
  for_seeds(100, [&](Execution& execution) {
    SimDevice device{execution, "disk", {.sectors = 64}};
    engine::Completion ended{"ended", 2};
    Request a{BioOp::write, 0, 8, 1};
    Request b{BioOp::write, 0, 8, 2};
    for (Request* const request : {&a, &b}) {
      request->bio.owner = &ended;
      request->bio.end_io = [](Bio& bio) { static_cast<engine::Completion*>(bio.owner)->signal(); };
      device.submit(request->bio);
    }
    ended.wait();
    seen.insert(byte_now(device, 0));
  });
  EXPECT_EQ(seen, (std::set<int>{1, 2}));
}

TEST(SimDevice, EndsOutOfOrder) {
  std::set<std::vector<int>> orders;
  for_seeds(200, [&](Execution& execution) {
    SimDevice device{execution, "disk", {.sectors = 64}};
    struct Tagged : Request {
      Tagged(int tag_value, engine::SpinLock& guard, std::vector<int>& list,
             engine::Completion& completion)
          : Request{BioOp::write, static_cast<std::uint64_t>(tag_value) * 8, 8},
            tag{tag_value},
            lock{guard},
            order{list},
            ended{completion} {}
      int tag;
      engine::SpinLock& lock;
      std::vector<int>& order;   // guarded by lock
      engine::Completion& ended;
    };
    engine::SpinLock lock{"order"};
    std::vector<int> order;
    engine::Completion ended{"ended", 3};
    std::array<Tagged, 3> requests{Tagged{0, lock, order, ended}, Tagged{1, lock, order, ended},
                                   Tagged{2, lock, order, ended}};
    for (Tagged& request : requests) {
      request.bio.owner = &request;
      request.bio.end_io = [](Bio& bio) {
        auto& self = *static_cast<Tagged*>(bio.owner);
        {
          const engine::SpinGuard guard{self.lock};
          self.order.push_back(self.tag);
        }
        self.ended.signal();
      };
      device.submit(request.bio);
    }
    ended.wait();
    orders.insert(order);
  });
  EXPECT_EQ(orders.size(), 6U);
}

TEST(SimDevice, AReadInFlightSeesAWriteInFlightOrNot) {
  std::set<int> seen;
  for_seeds(100, [&](Execution& execution) {
    SimDevice device{execution, "disk", {.sectors = 64}};
    engine::Completion ended{"ended", 2};
    Request write{BioOp::write, 0, 8, 7};
    Request read{BioOp::read, 0, 8};
    for (Request* const request : {&write, &read}) {
      request->bio.owner = &ended;
      request->bio.end_io = [](Bio& bio) { static_cast<engine::Completion*>(bio.owner)->signal(); };
      device.submit(request->bio);
    }
    ended.wait();
    seen.insert(static_cast<int>(read.buffer.data()[0]));
  });
  EXPECT_EQ(seen, (std::set<int>{0, 7}));
}

// --- power ---

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
    engine::Completion ended{"ended"};
    Request write{BioOp::write, 0, 3, 5, true};
    write.bio.owner = &ended;
    write.bio.end_io = [](Bio& bio) { static_cast<engine::Completion*>(bio.owner)->signal(); };
    device.submit(write.bio);
    device.power_cut();
    left.insert({first_byte(*device.crash_image(), 0), first_byte(*device.crash_image(), 1),
                 first_byte(*device.crash_image(), 2)});
    ended.wait();
    EXPECT_EQ(write.bio.status, Errc::power_lost);
  });
  EXPECT_EQ(left.size(), 8U);
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

// --- discards and faults ---

TEST(SimDevice, DiscardLeavesZeroesOldDataOrGarbage) {
  std::set<int> seen;
  for_seeds(100, [&](Execution& execution) {
    SimDevice device{execution, "disk", {.sectors = 64}};
    EXPECT_EQ(do_io(device, BioOp::write, 0, 24, 1), Errc::ok);
    EXPECT_EQ(do_io(device, BioOp::discard, 8, 8), Errc::ok);
    EXPECT_EQ(byte_now(device, 7), 1);
    EXPECT_EQ(byte_now(device, 16), 1);
    seen.insert(byte_now(device, 8));
    std::array<std::byte, kSectorSize> bytes;
    device.peek(Sector{8}, bytes);
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), sizeof word);
    EXPECT_TRUE(word == 0 || word == 0x0101010101010101ULL || word == kGarbage + 8);
  });
  EXPECT_EQ(seen.size(), 3U);
}

TEST(SimDevice, DiscardIsRefusedWhereThereIsNone) {
  for_seeds(5, [&](Execution& execution) {
    SimDevice device{execution, "disk", {.sectors = 64, .discard_sectors_max = 0}};
    EXPECT_EQ(do_io(device, BioOp::discard, 8, 8), Errc::not_supported);
  });
}

TEST(SimDevice, TheNthMatchFails) {
  for_seeds(20, [&](Execution& execution) {
    SimDevice device{execution,
                     "disk",
                     {.sectors = 64,
                      .faults = {{{.ops = kReads, .sector = Sector{8}, .sectors = 8, .nth = 2}}}}};
    EXPECT_EQ(do_io(device, BioOp::read, 8, 1), Errc::ok);
    EXPECT_EQ(do_io(device, BioOp::read, 0, 8), Errc::ok);    // elsewhere
    EXPECT_EQ(do_io(device, BioOp::read, 16, 8), Errc::ok);   // elsewhere
    EXPECT_EQ(do_io(device, BioOp::write, 8, 8), Errc::ok);   // another kind
    EXPECT_EQ(do_io(device, BioOp::read, 15, 1), Errc::io_error);
    EXPECT_EQ(do_io(device, BioOp::read, 8, 8), Errc::ok);   // transient
  });
}

TEST(SimDevice, LastingFaultsStayWhereTheyStruck) {
  for_seeds(20, [&](Execution& execution) {
    SimDevice device{execution,
                     "disk",
                     {.sectors = 64, .faults = {{{.ops = kReads, .one_in = 1, .lasting = true}}}}};
    EXPECT_EQ(do_io(device, BioOp::read, 8, 8), Errc::io_error);
    EXPECT_EQ(do_io(device, BioOp::read, 15, 8), Errc::io_error);
    EXPECT_EQ(do_io(device, BioOp::read, 16, 8), Errc::ok);
    EXPECT_EQ(do_io(device, BioOp::write, 8, 8), Errc::ok);
  });
}

TEST(SimDevice, AFailedWriteMayOrMayNotBeOnTheDisk) {
  std::set<int> seen;
  for_seeds(100, [&](Execution& execution) {
    SimDevice device{
        execution, "disk", {.sectors = 64, .faults = {{{.ops = kWrites, .one_in = 1}}}}};
    EXPECT_EQ(do_io(device, BioOp::write, 0, 8, 1), Errc::io_error);
    seen.insert(byte_now(device, 0));
  });
  EXPECT_EQ(seen, (std::set<int>{0, 1}));
}

TEST(SimDevice, FaultsAreDecisionsAndCanBeReplayed) {
  const auto body = [](Execution& execution, int& failures) {
    SimDevice device{execution,
                     "disk",
                     {.sectors = 64, .faults = {{{.ops = kWrites, .one_in = 4, .count_max = 3}}}}};
    for (int i = 0; i < 12; ++i)
      failures += do_io(device, BioOp::write, 0, 8, 1) != Errc::ok;
    device.power_cut();
  };
  std::set<int> counts;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    int failures = 0;
    Execution execution{{.seed = seed}};
    const Outcome first = execution.run([&] { body(execution, failures); });
    counts.insert(failures);
    Replay replay{first.schedule};
    int again = 0;
    execution.reset({.strategy = &replay});
    EXPECT_EQ(execution.run([&] { body(execution, again); }).digest, first.digest);
    EXPECT_EQ(again, failures);
  }
  EXPECT_EQ(counts, (std::set<int>{0, 1, 2, 3}));
}

// --- observers ---

// --- latency ---

TEST(SimDevice, ASlowDiskTakesTimeAndAQuickOneNone) {
  using std::chrono::milliseconds;
  std::set<std::int64_t> took;
  for_seeds(200, [&](Execution& execution) {
    SimDevice slow{execution, "slow", {.sectors = 64, .latency = {.usual = milliseconds{5}}}};
    SimDevice quick{execution, "quick", {.sectors = 64}};
    EXPECT_EQ(do_io(quick, BioOp::write, 0, 8, 1), Errc::ok);
    EXPECT_EQ(execution.now(), engine::Nanos{0});
    EXPECT_EQ(do_io(slow, BioOp::write, 0, 8, 1), Errc::ok);
    took.insert(execution.now() / milliseconds{1});
    EXPECT_EQ(byte_now(slow, 0), 1);
  });
  EXPECT_EQ(took, (std::set<std::int64_t>{0, 5}));
}

TEST(SimDevice, ATimerFiresDuringAStallBeforeOrAfterTheEffect) {
  using std::chrono::seconds;
  std::set<int> seen;
  for_seeds(400, [&](Execution& execution) {
    SimDevice device{
        execution,
        "disk",
        {.sectors = 64, .latency = {.stall = seconds{65}, .stall_one_in = 2, .stalls_max = 1}}};
    engine::Completion ended{"ended"};
    Request write{BioOp::write, 0, 1, 7};
    write.bio.owner = &ended;
    write.bio.end_io = [](Bio& bio) { static_cast<engine::Completion*>(bio.owner)->signal(); };
    device.submit(write.bio);
    engine::sleep_for(seconds{60});
    seen.insert(static_cast<int>(device.in_flight()) * 10 + byte_now(device, 0));
    ended.wait();
    EXPECT_EQ(do_io(device, BioOp::read, 0, 1), Errc::ok);
    EXPECT_EQ(do_io(device, BioOp::read, 0, 1), Errc::ok);
    EXPECT_LE(execution.now(), seconds{60 + 65});   // one stall at the most
  });
  EXPECT_EQ(seen, (std::set<int>{7, 10, 17}));   // ended; before the effect; after it
}

TEST(SimDevice, ACutEndsWhatStalls) {
  for_seeds(50, [&](Execution& execution) {
    SimDevice device{
        execution,
        "disk",
        {.sectors = 64,
         .latency = {.stall = std::chrono::seconds{65}, .stall_one_in = 1, .stalls_max = 4}}};
    engine::Completion ended{"ended"};
    Request write{BioOp::write, 0, 1, 7};
    write.bio.owner = &ended;
    write.bio.end_io = [](Bio& bio) { static_cast<engine::Completion*>(bio.owner)->signal(); };
    device.submit(write.bio);
    device.power_cut();
    ended.wait();
    EXPECT_EQ(write.bio.status, Errc::power_lost);
    EXPECT_EQ(execution.now(), engine::Nanos{0});
  });
}

TEST(SimDevice, ObserversSeeEachIoSubmittedDoneAndEnded) {
  struct Watch final : DeviceObserver {
    void submitted(const SimDevice&, const IoRecord& io) override { log.push_back({'s', io}); }
    void took_effect(const SimDevice&, const IoRecord& io) override { log.push_back({'e', io}); }
    void completed(const SimDevice&, const IoRecord& io) override { log.push_back({'c', io}); }
    std::vector<std::pair<char, IoRecord>> log;
  };
  for_seeds(20, [&](Execution& execution) {
    Watch watch;
    SimDevice device{execution, "disk", {.sectors = 64}};
    device.add_observer(watch);
    EXPECT_EQ(do_io(device, BioOp::write, 8, 4, 1), Errc::ok);
    ASSERT_EQ(watch.log.size(), 3U);
    EXPECT_EQ(watch.log[0].first, 's');
    EXPECT_EQ(watch.log[1].first, 'e');
    EXPECT_EQ(watch.log[2].first, 'c');
    EXPECT_EQ(watch.log[2].second.sector, Sector{8});
    EXPECT_EQ(watch.log[2].second.sectors, 4U);
    EXPECT_TRUE(watch.log[2].second.overlaps(Sector{11}, 1));
    EXPECT_FALSE(watch.log[2].second.overlaps(Sector{12}, 1));
  });
}

TEST(SimDevice, AnObserverMayEndTheExecution) {
  struct Watch final : DeviceObserver {
    explicit Watch(Execution& owner) : execution{owner} {}
    void took_effect(const SimDevice&, const IoRecord&) override {
      execution.report({.kind = FindingKind::checker, .message = "no", .place = "rule"});
    }
    Execution& execution;
  };
  Execution execution;
  const Outcome& outcome = execution.run([&] {
    Watch watch{execution};
    SimDevice device{execution, "disk", {.sectors = 64}};
    device.add_observer(watch);
    do_io(device, BioOp::write, 8, 4, 1);
    ADD_FAILURE() << "went on";
  });
  ASSERT_TRUE(outcome.finding);
  EXPECT_EQ(outcome.finding->signature(), "checker rule");
}

TEST(DiskImage, ShrinkingLosesTheTail) {
  DiskImage image{64};
  std::array<std::byte, 64 * kSectorSize> bytes;
  bytes.fill(std::byte{3});
  image.write(Sector{0}, bytes);
  image.resize(10);
  image.resize(64);
  EXPECT_EQ(first_byte(image, 9), 3);
  EXPECT_EQ(first_byte(image, 10), 0);
  EXPECT_EQ(first_byte(image, 63), 0);
}

TEST(DiskImage, EqualContentsHaveEqualDigests) {
  std::array<std::byte, kSectorSize> bytes;
  bytes.fill(std::byte{3});
  DiskImage a{64};
  a.write(Sector{1}, bytes);
  a.write(Sector{40}, bytes);
  DiskImage b{64};
  b.write(Sector{40}, bytes);
  b.write(Sector{1}, bytes);
  bytes.fill(std::byte{0});
  b.write(Sector{20}, bytes);
  EXPECT_EQ(a.digest(), b.digest());
  bytes.fill(std::byte{1});
  b.write(Sector{20}, bytes);
  EXPECT_NE(a.digest(), b.digest());
}

}   // namespace
}   // namespace sim
