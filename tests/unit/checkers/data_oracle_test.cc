// What the data oracle permits and what it does not: each rule of sector_history.h by example.
#include "checkers/data_oracle.h"

#include <array>

#include <gtest/gtest.h>

namespace checkers {
namespace {

class DataOracleTest : public testing::Test {
 protected:
  DataOracleTest() { oracle_.create(0, 64); }

  std::uint64_t write(std::uint64_t sector, bool ok = true, bool fua = false) {
    const DataOracle::Request request = oracle_.begin_write(0, sector, 1);
    oracle_.end_write(request, ok, fua);
    return request.write_id;
  }
  void flush() { oracle_.end_flush(oracle_.begin_flush(0), true); }
  // Whether a read of `sector` that returns what `write_id` wrote (0: zeroes) is permitted.
  bool read(std::uint64_t sector, std::uint64_t write_id, std::uint32_t device = 0) {
    const DataOracle::Request request = oracle_.begin_read(device, sector, 1);
    return finish(request, write_id);
  }
  bool finish(const DataOracle::Request& request, std::uint64_t write_id) {
    std::array<std::byte, 512> data{};
    if (write_id != 0) fill_stamped(data, write_id, request.sector);
    Findings findings;
    oracle_.end_read(request, true, data, findings);
    return findings.empty();
  }

  DataOracle oracle_{DataOracle::Options{}};
};

TEST_F(DataOracleTest, UnwrittenSectorsAreZero) {
  EXPECT_TRUE(read(3, 0));
  EXPECT_FALSE(read(3, 7));
}

// A thin over an external origin that ends before it.
TEST_F(DataOracleTest, WhatIsBelowShowsWhereNothingWasWritten) {
  const std::uint64_t below = oracle_.new_write_id();
  oracle_.create(1, 64, {.write_id = below, .sectors = 4});
  EXPECT_TRUE(read(3, below, 1));
  EXPECT_FALSE(read(3, 0, 1));
  EXPECT_TRUE(read(4, 0, 1));
  EXPECT_FALSE(read(4, below, 1));
  const DataOracle::Request written = oracle_.begin_write(1, 3, 1);
  oracle_.end_write(written, true, false);
  EXPECT_FALSE(read(3, below, 1));
  oracle_.snapshot(2, 1, oracle_.begin_snapshot());
  EXPECT_TRUE(read(3, written.write_id, 2));
  EXPECT_TRUE(read(2, below, 2));
  oracle_.end_discard(oracle_.begin_discard(1, 3, 1));
  EXPECT_FALSE(read(3, 0, 1));
  EXPECT_TRUE(read(3, below, 1));
  EXPECT_FALSE(read(3, written.write_id, 1));   // it has been seen to be gone
}

// It was not mapped when it was read, and shows what its block held before when it is.
TEST_F(DataOracleTest, UnzeroedSectorsMayReadAsZeroesAndThenAsAnything) {
  DataOracle oracle{DataOracle::Options{.zeroed = false}};
  oracle.create(0, 64);
  oracle.end_zero(oracle.begin_zero(0, 3, 1), false, false);
  const auto reads_as = [&](std::uint64_t write_id) {
    const DataOracle::Request request = oracle.begin_read(0, 3, 1);
    std::array<std::byte, 512> data{};
    if (write_id != 0) fill_stamped(data, write_id, request.sector);
    Findings findings;
    oracle.end_read(request, true, data, findings);
    return findings.empty();
  };
  EXPECT_TRUE(reads_as(0));
  EXPECT_TRUE(reads_as(7));
  oracle.end_zero(oracle.begin_zero(0, 3, 1), true, false);
  EXPECT_TRUE(reads_as(0));
  EXPECT_FALSE(reads_as(7));
}

TEST_F(DataOracleTest, AReadReturnsTheLastWrite) {
  const std::uint64_t first = write(3);
  const std::uint64_t second = write(3);
  EXPECT_TRUE(read(3, second));
  EXPECT_FALSE(read(3, first));
  EXPECT_FALSE(read(3, 0));
}

TEST_F(DataOracleTest, DataOfAnotherSectorIsForeign) {
  const std::uint64_t id = write(3);
  write(4);
  std::array<std::byte, 512> data{};
  fill_stamped(data, id, 3);
  Findings findings;
  oracle_.end_read(oracle_.begin_read(0, 4, 1), true, data, findings);
  ASSERT_EQ(findings.list().size(), 1U);
  EXPECT_EQ(findings.list().front().kind, "foreign data");
}

TEST_F(DataOracleTest, AReadDuringAWriteMayReturnEither) {
  const std::uint64_t old = write(3);
  const DataOracle::Request running = oracle_.begin_write(0, 3, 1);
  EXPECT_TRUE(read(3, old));
  EXPECT_TRUE(read(3, running.write_id));
  EXPECT_TRUE(read(3, old));   // no promise of order while it runs
  const DataOracle::Request early = oracle_.begin_read(0, 3, 1);
  oracle_.end_write(running, true, false);
  EXPECT_TRUE(finish(early, old));   // it began before the write ended
  EXPECT_FALSE(read(3, old));
}

TEST_F(DataOracleTest, TwoWritesAtOnceMayLeaveEitherButNotFlip) {
  const DataOracle::Request a = oracle_.begin_write(0, 3, 1);
  const DataOracle::Request b = oracle_.begin_write(0, 3, 1);
  oracle_.end_write(a, true, false);
  oracle_.end_write(b, true, false);
  EXPECT_TRUE(read(3, a.write_id));
  EXPECT_FALSE(read(3, b.write_id));   // it has shown itself
  EXPECT_TRUE(read(3, a.write_id));
}

TEST_F(DataOracleTest, AFailedWriteMayHaveHappened) {
  const std::uint64_t old = write(3);
  const std::uint64_t failed = write(3, false);
  EXPECT_TRUE(read(3, failed));
  EXPECT_FALSE(read(3, old));   // settled by the read before
}

TEST_F(DataOracleTest, UnflushedWritesMayBeLostByAPowerCut) {
  const std::uint64_t old = write(3);
  flush();
  const std::uint64_t unflushed = write(3);
  oracle_.power_cut();
  EXPECT_TRUE(read(3, old));
  EXPECT_FALSE(read(3, unflushed));   // what came back stays
}

TEST_F(DataOracleTest, FlushedWritesSurviveAPowerCut) {
  const std::uint64_t old = write(3);
  write(4);
  const std::uint64_t kept = write(3);
  flush();
  oracle_.power_cut();
  EXPECT_FALSE(read(3, old));
  EXPECT_FALSE(read(3, 0));
  EXPECT_TRUE(read(3, kept));
}

// The disk below a cache is snapshotted while it lags: what it had not been given before the cut it
// still lacks afterwards.
TEST_F(DataOracleTest, ASnapshotMayHoldWhatWasThereSinceItWasBegun) {
  const std::uint64_t before = write(3);
  const std::uint64_t old = write(3);
  flush();
  const Moment begun = oracle_.begin_snapshot();
  const std::uint64_t kept = write(3);
  flush();
  oracle_.power_cut();
  for (const auto& [held, may] : {std::pair{before, false}, {old, true}, {kept, true}}) {
    oracle_.snapshot(5, 0, begun);
    EXPECT_EQ(read(3, held, 5), may) << held;
  }
  EXPECT_FALSE(read(3, old));
  EXPECT_TRUE(read(3, kept));
}

TEST_F(DataOracleTest, AFlushDoesNotBringBackWhatACutTook) {
  const std::uint64_t old = write(3);
  flush();
  write(3);
  oracle_.power_cut();
  flush();
  oracle_.power_cut();
  EXPECT_TRUE(read(3, old));
}

TEST_F(DataOracleTest, AFlushCoversOnlyWhatHadEndedBefore) {
  const DataOracle::Request running = oracle_.begin_write(0, 3, 1);
  const DataOracle::Request flushing = oracle_.begin_flush(0);
  oracle_.end_write(running, true, false);
  oracle_.end_flush(flushing, true);
  oracle_.power_cut();
  EXPECT_TRUE(read(3, 0));
}

TEST_F(DataOracleTest, AFuaWriteIsDurableWhenItHasEnded) {
  const std::uint64_t id = write(3, true, true);
  oracle_.power_cut();
  EXPECT_FALSE(read(3, 0));
  EXPECT_TRUE(read(3, id));
}

TEST_F(DataOracleTest, ADiscardMayLeaveZeroesOrTheOldData) {
  const std::uint64_t old = write(3);
  oracle_.end_discard(oracle_.begin_discard(0, 0, 8));
  EXPECT_TRUE(read(3, old));
  oracle_.end_discard(oracle_.begin_discard(0, 0, 8));
  EXPECT_TRUE(read(3, 0));
  EXPECT_FALSE(read(3, old));
}

TEST_F(DataOracleTest, ADiscardAndAPowerCutMayLeaveAnything) {
  write(3);
  flush();
  oracle_.end_discard(oracle_.begin_discard(0, 0, 8));
  EXPECT_FALSE(read(3, 77));
  oracle_.power_cut();
  EXPECT_TRUE(read(3, 77));
  const std::uint64_t fresh = write(3, true, true);
  oracle_.power_cut();
  EXPECT_FALSE(read(3, 77));
  EXPECT_TRUE(read(3, fresh));
}

TEST_F(DataOracleTest, ASnapshotHoldsWhatTheOriginHeldThen) {
  const std::uint64_t then = write(3);
  oracle_.snapshot(1, 0, oracle_.begin_snapshot());
  const std::uint64_t later = write(3);
  EXPECT_TRUE(read(3, then, 1));
  EXPECT_FALSE(read(3, later, 1));
  EXPECT_FALSE(read(3, then, 0));
}

TEST_F(DataOracleTest, ASnapshotTakenDuringAWriteHoldsEither) {
  const std::uint64_t old = write(3);
  const Moment begun = oracle_.begin_snapshot();
  const DataOracle::Request running = oracle_.begin_write(0, 3, 1);
  oracle_.end_write(running, true, false);
  oracle_.snapshot(1, 0, begun);
  EXPECT_TRUE(read(3, old, 1));
  EXPECT_FALSE(read(3, running.write_id, 1));   // but not both, one after the other
}

TEST_F(DataOracleTest, ASnapshotMayMissADurableWriteThatEndedDuringIt) {
  const std::uint64_t old = write(3, true, true);
  const Moment begun = oracle_.begin_snapshot();
  write(3, true, true);
  oracle_.snapshot(1, 0, begun);
  oracle_.end_snapshot(begun);
  EXPECT_TRUE(read(3, old, 1));
  EXPECT_FALSE(read(3, old, 0));
}

TEST_F(DataOracleTest, AFlushOfASnapshotDoesNotSayWhichWriteItCaught) {
  const std::uint64_t old = write(3, true, true);
  const Moment begun = oracle_.begin_snapshot();
  write(3);
  oracle_.snapshot(1, 0, begun);
  oracle_.end_snapshot(begun);
  oracle_.end_flush(oracle_.begin_flush(1), true);
  oracle_.power_cut();
  EXPECT_TRUE(read(3, old, 1));
}

TEST_F(DataOracleTest, ATornSectorIsNeverPermitted) {
  const std::uint64_t id = write(3);
  std::array<std::byte, 512> data{};
  fill_stamped(data, id, 3);
  data[511] ^= std::byte{1};
  Findings findings;
  oracle_.end_read(oracle_.begin_read(0, 3, 1), true, data, findings);
  EXPECT_FALSE(findings.empty());
}

TEST(DataOracleUnzeroed, UnwrittenSectorsMayBeAnything) {
  DataOracle oracle{DataOracle::Options{.zeroed = false}};
  oracle.create(0, 64);
  std::array<std::byte, 512> data{};
  fill_stamped(data, 99, 17);
  Findings findings;
  oracle.end_read(oracle.begin_read(0, 3, 1), true, data, findings);
  EXPECT_TRUE(findings.empty());
  oracle.end_write(oracle.begin_write(0, 3, 1), true, false);
  oracle.end_read(oracle.begin_read(0, 3, 1), true, data, findings);
  EXPECT_FALSE(findings.empty());
}

// What a discard gave up may come back with the metadata that is rolled back, until a durable write
// has ended; a read that began before that may still return it.
TEST_F(DataOracleTest, WhatIsRolledBackIsGoneForGoodFromTheEndOfADurableWriteOn) {
  DataOracle oracle{DataOracle::Options{.may_roll_back = true}};
  const std::uint64_t below = oracle.new_write_id();
  oracle.create(0, 8, {.write_id = below, .sectors = 8});
  const auto finds_zeroes = [&](const DataOracle::Request& read) {
    const std::array<std::byte, 512> zeroes{};
    Findings findings;
    oracle.end_read(read, true, zeroes, findings);
    return !findings.empty();
  };
  oracle.end_write(oracle.begin_write(0, 3, 1), true, true);
  oracle.end_discard(oracle.begin_discard(0, 3, 1));
  const DataOracle::Request before = oracle.begin_read(0, 3, 1);
  const DataOracle::Request durable = oracle.begin_write(0, 3, 1);
  oracle.end_write(durable, true, true);
  const DataOracle::Request after = oracle.begin_read(0, 3, 1);
  EXPECT_FALSE(finds_zeroes(before));
  EXPECT_TRUE(finds_zeroes(after));
}

}   // namespace
}   // namespace checkers
