// Trace files: what is written reads back equal; of anything else the reader says what is wrong,
// and where.
#include <random>

#include <gtest/gtest.h>

#include "tests/unit/traces/late_discard.h"
#include "traces/diff.h"
#include "traces/reader.h"
#include "traces/writer.h"

namespace traces {
namespace {

Trace small_trace() {
  Trace trace = deadlocked();
  trace.defect.detail = "two\nlines\n";
  trace.workload = "a\n\nb";
  return trace;
}

TEST(TraceFile, ReadsBackEqual) {
  for (const Trace& trace : {Trace{}, small_trace(), late_discard()}) {
    const auto read = read_trace(write_trace(trace));
    ASSERT_TRUE(read) << read.error();
    EXPECT_EQ(*read, trace);
  }
}

TEST(TraceFile, EqualTracesAreEqualFiles) {
  EXPECT_EQ(write_trace(late_discard()), write_trace(late_discard()));
}

TEST(TraceFile, KeepsStringsOfAnyBytes) {
  Trace trace = small_trace();
  std::string every;
  for (int i = 0; i < 256; ++i)
    every += static_cast<char>(i);
  trace.strategy = every;
  trace.workload = every + "\n\n" + every;
  trace.schedule = "";
  trace.defect.message = "\"\\x41\\n";
  trace.fibers[0].name = "";
  trace.events[0].name = " ";
  trace.events[0].time_ns = -5;
  const auto read = read_trace(write_trace(trace));
  ASSERT_TRUE(read) << read.error();
  EXPECT_EQ(*read, trace);
}

TEST(TraceFile, NoticesTruncationAtEveryLength) {
  const std::string bytes = write_trace(small_trace());
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    const auto read = read_trace(std::string_view{bytes}.substr(0, length));
    ASSERT_FALSE(read) << length;
    EXPECT_NE(read.error().find("truncated"), std::string::npos) << length << read.error();
    EXPECT_EQ(read.error().find("line "), 0U) << read.error();
  }
}

TEST(TraceFile, NoticesEveryFlippedBit) {
  const std::string bytes = write_trace(small_trace());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ 1 << bit);
      const auto read = read_trace(damaged);
      ASSERT_FALSE(read) << "byte " << i << " bit " << bit;
      EXPECT_EQ(read.error().find('\n'), std::string::npos);
    }
  }
}

TEST(TraceFile, NoticesLinesMovedOrLost) {
  const std::string bytes = write_trace(small_trace());
  for (std::size_t begin = 0; begin < bytes.size();) {
    const std::size_t end = bytes.find('\n', begin) + 1;
    std::string without = bytes;
    without.erase(begin, end - begin);
    EXPECT_FALSE(read_trace(without)) << begin;
    EXPECT_FALSE(read_trace(bytes + bytes.substr(begin, end - begin))) << begin;
    begin = end;
  }
}

TEST(TraceFile, SurvivesRandomDamage) {
  const std::string bytes = write_trace(small_trace());
  std::mt19937 random{1};
  for (int round = 0; round < 3000; ++round) {
    std::string damaged = bytes;
    for (std::uint32_t k = 0; k <= random() % 8; ++k) {
      const std::size_t at = random() % damaged.size();
      switch (random() % 3) {
        case 0:
          damaged[at] = static_cast<char>(random());
          break;
        case 1:
          damaged.erase(at, random() % 40);
          break;
        default:
          damaged.insert(at, damaged.substr(random() % damaged.size(), random() % 40));
      }
      if (damaged.empty()) damaged = "x";
    }
    EXPECT_EQ(read_trace(damaged).has_value(), damaged == bytes) << round;
  }
}

TEST(TraceFile, SaysWhatIsWrongAndWhere) {
  std::string bytes = write_trace(small_trace());
  EXPECT_EQ(read_trace("ELF").error(),
            "line 1: not a trace: it does not begin with 'wavetank trace'");
  EXPECT_EQ(read_trace("wavetank trace 1\n").error(),
            "line 1: a trace of another version: this program reads version 2");
  EXPECT_EQ(read_trace(bytes + "x").error().substr(0, 5), "line ");
  const std::size_t at = bytes.find("\nseed ");
  std::string damaged = bytes;
  damaged.replace(at, 7, "\nseed x");
  EXPECT_EQ(read_trace(damaged).error(), "line 6, [run]: the value of 'seed' does not read");
  damaged = bytes;
  damaged[at + 6] = '7';
  EXPECT_NE(read_trace(damaged).error().find("checksum differs"), std::string::npos);
  // A count that no file could hold.
  damaged = bytes;
  damaged.replace(damaged.find("[events "), 9, "[events 99999999999999999");
  EXPECT_NE(read_trace(damaged).error().find("promises more lines"), std::string::npos);
}

TEST(Diff, EqualRunsDoNotDiverge) {
  Trace replayed = late_discard();
  replayed.seed = 0;
  replayed.strategy = "replay";
  EXPECT_FALSE(first_divergence(late_discard(), replayed));
}

TEST(Diff, NamesTheFirstEventThatDiffers) {
  const Trace recorded = late_discard();
  Trace replayed = recorded;
  const std::size_t at = replayed.events.size() / 2;
  replayed.events[at].a += 1;
  replayed.events.back().a += 1;
  const auto divergence = first_divergence(recorded, replayed);
  ASSERT_TRUE(divergence);
  EXPECT_EQ(divergence->part, "event");
  EXPECT_EQ(divergence->index, at);
  EXPECT_NE(divergence->text.find(recorded.events[at].op), std::string::npos);
}

TEST(Diff, NamesADecisionBeforeTheEventsThatFollowFromIt) {
  const Trace recorded = late_discard();
  Trace replayed = recorded;
  std::size_t at = 0;
  while (!replayed.decisions[at].put_aside)
    ++at;
  replayed.decisions.erase(replayed.decisions.begin() + static_cast<std::ptrdiff_t>(at));
  replayed.events.resize(recorded.decisions[at].events_before);
  const auto divergence = first_divergence(recorded, replayed);
  ASSERT_TRUE(divergence);
  EXPECT_EQ(divergence->part, "decision");
  EXPECT_EQ(divergence->index, at);
}

TEST(Diff, NoticesAShorterRunOtherEndingsAndOtherDigests) {
  const Trace recorded = late_discard();
  Trace replayed = recorded;
  replayed.events.pop_back();
  EXPECT_EQ(first_divergence(recorded, replayed)->index, recorded.events.size() - 1);
  replayed = recorded;
  replayed.failed = false;
  EXPECT_EQ(first_divergence(recorded, replayed)->part, "finding");
  replayed = recorded;
  replayed.digest ^= 1;
  EXPECT_EQ(first_divergence(recorded, replayed)->part, "digest");
}

}   // namespace
}   // namespace traces
