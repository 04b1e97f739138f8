// The text form of schedules: stable, readable, and safe to read from anybody.
#include "sim/schedule.h"

#include <gtest/gtest.h>

#include "sim/rng.h"

namespace sim {
namespace {

Schedule example() {
  const ActorId writer = ActorId::fiber(2);
  const ActorId io{ActorKind::io, 1, 5};
  const ActorId cut{ActorKind::step, 0, 0};
  Schedule schedule;
  schedule.decisions = {
      {ActorId::fiber(1), 3, ChoiceKind::run, writer.value()},
      {writer, 17, ChoiceKind::effect, io.value()},
      {writer, 18, ChoiceKind::complete, io.value()},
      {io, 1, ChoiceKind::fire, 0},
      {ActorId{ActorKind::timer, 0, 4}, 2, ChoiceKind::value, 4294967295U},
      {writer, 20, ChoiceKind::step, cut.value()},
  };
  schedule.names = {{writer.value(), "writer"}, {io.value(), "data"}, {cut.value(), "power-cut"}};
  return schedule;
}

TEST(Schedule, TextIsForPeople) {
  EXPECT_EQ(example().to_text(),
            "wavetank-schedule 1\n"
            "at fiber:1 3 run fiber:2:writer\n"
            "at fiber:2:writer 17 effect io:1.5:data\n"
            "at fiber:2:writer 18 complete io:1.5:data\n"
            "at io:1.5:data 1 fire\n"
            "at timer:4 2 value 4294967295\n"
            "at fiber:2:writer 20 step step:0:power-cut\n"
            "end\n");
}

TEST(Schedule, ComesBackFromText) {
  const auto back = Schedule::from_text(example().to_text());
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, example());
}

TEST(Schedule, OddNamesDoNotBreakTheText) {
  Schedule schedule = example();
  schedule.names[ActorId::fiber(2).value()] = "a b\nc:d" + std::string(200, 'x');
  const auto back = Schedule::from_text(schedule.to_text());
  ASSERT_TRUE(back);
  EXPECT_EQ(back->decisions, schedule.decisions);
}

TEST(Schedule, CommentsAndEmptyLinesAreSkipped) {
  const auto back =
      Schedule::from_text("wavetank-schedule 1\n# why\n\nat fiber:1 3 run fiber:2\nend\n");
  ASSERT_TRUE(back);
  EXPECT_EQ(back->decisions.size(), 1U);
}

struct BadText {
  const char* text;
  std::uint64_t line;
};

TEST(Schedule, BadTextIsRefusedWithItsLine) {
  const BadText cases[] = {
      {"", 1},
      {"wavetank-schedule 1", 1},
      {"wavetank-schedule 2\nend\n", 1},
      {"something else\n", 1},
      {"wavetank-schedule 1\n", 2},
      {"wavetank-schedule 1\nat fiber:1 3 run fiber:2\n", 3},
      {"wavetank-schedule 1\nat fiber:1 3 run fib", 2},
      {"wavetank-schedule 1\nat fiber:1 x run fiber:2\nend\n", 2},
      {"wavetank-schedule 1\nat fiber:1 -3 run fiber:2\nend\n", 2},
      {"wavetank-schedule 1\nat fiber:1 99999999999 run fiber:2\nend\n", 2},
      {"wavetank-schedule 1\nat fiber:4194304 3 run fiber:2\nend\n", 2},
      {"wavetank-schedule 1\nat fiber 3 run fiber:2\nend\n", 2},
      {"wavetank-schedule 1\nat fiber:1 3 walk fiber:2\nend\n", 2},
      {"wavetank-schedule 1\nat fiber:1 3 run\nend\n", 2},
      {"wavetank-schedule 1\nat fiber:1 3 run fiber:2 more\nend\n", 2},
      {"wavetank-schedule 1\nat fiber:1 3 effect fiber:2\nend\n", 2},
      {"wavetank-schedule 1\nat fiber:1 3 effect io:2\nend\n", 2},
      {"wavetank-schedule 1\nat fiber:1 3 effect io:256.2\nend\n", 2},
      {"wavetank-schedule 1\nat fiber:1 3 step io:1.2\nend\n", 2},
      {"wavetank-schedule 1\nat fiber:1 3 fire timer:1\nend\n", 2},
      {"wavetank-schedule 1\nat fiber:1:a 3 fire\nat fiber:1:b 4 fire\nend\n", 3},
      {"wavetank-schedule 1\nend\nat fiber:1 3 fire\n", 3},
  };
  for (const BadText& bad : cases) {
    const auto result = Schedule::from_text(bad.text);
    ASSERT_FALSE(result) << bad.text;
    EXPECT_EQ(result.error().code, engine::Errc::invalid);
    EXPECT_EQ(result.error().where, bad.line) << bad.text;
  }
}

TEST(Schedule, EveryTruncationIsRefused) {
  const std::string text = example().to_text();
  for (std::size_t size = 0; size < text.size(); ++size)
    EXPECT_FALSE(Schedule::from_text(std::string_view{text}.substr(0, size))) << size;
}

TEST(Schedule, AnyDamageIsEitherRefusedOrStillASchedule) {
  const std::string text = example().to_text();
  Rng rng{1};
  for (int i = 0; i < 20'000; ++i) {
    std::string damaged = text;
    const std::uint32_t bytes = 1 + rng.below(3);
    for (std::uint32_t b = 0; b < bytes; ++b)
      damaged[rng.below(static_cast<std::uint32_t>(damaged.size()))] =
          static_cast<char>(rng.below(256));
    const auto result = Schedule::from_text(damaged);
    if (!result) continue;
    const auto again = Schedule::from_text(result->to_text());
    ASSERT_TRUE(again);
    EXPECT_EQ(again->decisions, result->decisions);
  }
}

}   // namespace
}   // namespace sim
