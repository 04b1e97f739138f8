// The simulated disk: what discards leave, which faults strike, and how long things take.
#include <array>
#include <chrono>
#include <set>

#include <gtest/gtest.h>

#include "engine/fiber/timer.h"
#include "sim/strategy_replay.h"
#include "tests/unit/sim/sim_device_requests.h"

namespace sim {
namespace {

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

}   // namespace
}   // namespace sim
