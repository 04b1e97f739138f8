// The text form of schedules: stable, readable, and safe to read from anybody.
#include "sim/schedule.h"

#include <string>
#include <string_view>
#include <vector>

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
      {"wavetank-schedule 3\nend\n", 1},
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
      // Repeats.
      {"wavetank-schedule 1\nrepeat 2 1\nat fiber:1 3+1 fire\nend\n", 2},
      {"wavetank-schedule 1\nat fiber:1 3+1 fire\nend\n", 2},
      {"wavetank-schedule 2\nat fiber:1 3+1 fire\nend\n", 2},
      {"wavetank-schedule 2\nrepeat 2\nat fiber:1 3+1 fire\nend\n", 2},
      {"wavetank-schedule 2\nrepeat 2 1 1\nat fiber:1 3+1 fire\nend\n", 2},
      {"wavetank-schedule 2\nrepeat 0 1\nat fiber:1 3+1 fire\nend\n", 2},
      {"wavetank-schedule 2\nrepeat 2 0\nend\n", 2},
      {"wavetank-schedule 2\nrepeat -2 1\nat fiber:1 3+1 fire\nend\n", 2},
      {"wavetank-schedule 2\nrepeat 99999999999 1\nat fiber:1 3+1 fire\nend\n", 2},
      {"wavetank-schedule 2\nrepeat 4294967295 1\nat fiber:1 3+1 fire\nend\n", 2},
      {"wavetank-schedule 2\nrepeat 65537 512\nend\n", 2},
      {"wavetank-schedule 2\nrepeat 2 513\nend\n", 2},
      {"wavetank-schedule 2\nrepeat 20000000 1\nat fiber:1 3+1 fire\n"
       "repeat 20000000 1\nat fiber:2 3+1 fire\nend\n",
       4},
      {"wavetank-schedule 2\nrepeat 2 2\nat fiber:1 3+1 fire\nend\n", 4},
      {"wavetank-schedule 2\nrepeat 2 2\nat fiber:1 3+1 fire\nrepeat 2 1\n", 4},
      {"wavetank-schedule 2\nrepeat 3 1\nat fiber:1 4294967294+1 fire\nend\n", 3},
      {"wavetank-schedule 2\nrepeat 3 1\nat fiber:4194302+1 1 fire\nend\n", 3},
      {"wavetank-schedule 2\nrepeat 3 1\nat fiber:1 1+1 run fiber:4194302+1\nend\n", 3},
      {"wavetank-schedule 2\nrepeat 3 1\nat fiber:1 1+1 value 2+2147483647\nend\n", 3},
      {"wavetank-schedule 2\nrepeat 3 1\nat fiber:1+1:a 1 fire\nend\n", 3},
      {"wavetank-schedule 2\nrepeat 3 1\nat fiber:1:a+1 1 fire\nend\n", 3},
      {"wavetank-schedule 2\nrepeat 3 1\nat fiber:1 1+ fire\nend\n", 3},
      {"wavetank-schedule 2\nrepeat 3 1\nat fiber:1 1+0 fire\nend\n", 3},
      {"wavetank-schedule 2\nrepeat 3 1\nat fiber:1 1+-1 fire\nend\n", 3},
      {"wavetank-schedule 2\nrepeat 3 1\nat fiber:1 1+1+1 fire\nend\n", 3},
  };
  for (const BadText& bad : cases) {
    const auto result = Schedule::from_text(bad.text);
    ASSERT_FALSE(result) << bad.text;
    EXPECT_EQ(result.error().code, engine::Errc::invalid);
    EXPECT_EQ(result.error().where, bad.line) << bad.text;
  }
}

// Two in step with each other, `times` times; and before and after that what comes once.
Schedule livelock(std::uint32_t times) {
  const ActorId plato = ActorId::fiber(2);
  const ActorId kant = ActorId::fiber(3);
  Schedule schedule;
  schedule.decisions.push_back({ActorId::fiber(1), 3, ChoiceKind::run, plato.value()});
  for (std::uint32_t i = 0; i < times; ++i) {
    schedule.decisions.push_back({plato, 7 + 4 * i, ChoiceKind::run, kant.value()});
    schedule.decisions.push_back({kant, 5 + 4 * i, ChoiceKind::run, plato.value()});
  }
  schedule.decisions.push_back({plato, 9 + 4 * times, ChoiceKind::run, kant.value()});
  schedule.names = {{plato.value(), "plato"}, {kant.value(), "kant"}};
  return schedule;
}

TEST(Schedule, WhatGoesRoundIsToldOnce) {
  const Schedule schedule = livelock(250'000);
  const std::string text = schedule.to_text();
  EXPECT_EQ(text,
            "wavetank-schedule 2\n"
            "at fiber:1 3 run fiber:2:plato\n"
            "repeat 250000 2\n"
            "at fiber:2:plato 7+4 run fiber:3:kant\n"
            "at fiber:3:kant 5+4 run fiber:2:plato\n"
            "at fiber:2:plato 1000009 run fiber:3:kant\n"
            "end\n");
  const auto back = Schedule::from_text(text);
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, schedule);
}

TEST(Schedule, AFewThatGoRoundStayOneALine) {
  const std::string text = livelock(20).to_text();
  EXPECT_TRUE(text.starts_with("wavetank-schedule 1\n")) << text;
  EXPECT_EQ(text.find("repeat"), std::string::npos);
}

// Each round starts a fiber, and an I/O, a timer and a value of its own.
TEST(Schedule, WhoIsAnotherInEachRoundIsCounted) {
  Schedule schedule;
  for (std::uint32_t i = 0; i < 10'000; ++i) {
    const ActorId fiber = ActorId::fiber(5 + i);
    const ActorId io{ActorKind::io, 3, 2 + 2 * i};
    schedule.decisions.push_back({ActorId::fiber(1), 10 + 7 * i, ChoiceKind::run, fiber.value()});
    schedule.decisions.push_back({fiber, 4, ChoiceKind::effect, io.value()});
    schedule.decisions.push_back({io, 1, ChoiceKind::value, 3 + i});
    schedule.decisions.push_back({ActorId{ActorKind::timer, 0, i}, 2, ChoiceKind::fire, 0});
  }
  const std::string text = schedule.to_text();
  EXPECT_NE(text.find("repeat 10000 4\nat fiber:1 10+7 run fiber:5+1\n"
                      "at fiber:5+1 4 effect io:3.2+2\nat io:3.2+2 1 value 3+1\n"
                      "at timer:0+1 2 fire\n"),
            std::string::npos)
      << text;
  const auto back = Schedule::from_text(text);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->decisions, schedule.decisions);
}

// Whatever goes round and wherever it stops doing so, nothing is lost.
TEST(Schedule, AnyComesBackFromText) {
  Rng rng{1};
  for (int i = 0; i < 300; ++i) {
    Schedule schedule;
    const std::uint32_t parts = rng.below(6);
    for (std::uint32_t part = 0; part < parts; ++part) {
      const std::uint32_t lines = 1 + rng.below(rng.below(2) == 0 ? 4 : 700);
      const std::uint32_t times = 1 + rng.below(2'000 / lines);
      std::vector<Decision> circle;
      for (std::uint32_t line = 0; line < lines; ++line) {
        circle.push_back({ActorId::fiber(rng.below(4)), rng.below(1'000),
                          rng.below(4) == 0 ? ChoiceKind::value : ChoiceKind::run, rng.below(4)});
      }
      const std::uint32_t by = rng.below(3);
      for (std::uint32_t time = 0; time < times; ++time) {
        for (Decision& each : circle) {
          schedule.decisions.push_back(each);
          each.step += by;
        }
      }
    }
    const auto back = Schedule::from_text(schedule.to_text());
    ASSERT_TRUE(back);
    ASSERT_EQ(back->decisions, schedule.decisions) << i;
  }
}

TEST(Schedule, EveryTruncationIsRefused) {
  for (const std::string& text : {example().to_text(), livelock(100).to_text()}) {
    for (std::size_t size = 0; size < text.size(); ++size)
      EXPECT_FALSE(Schedule::from_text(std::string_view{text}.substr(0, size))) << size;
  }
}

class ScheduleDamage : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Schedule, ScheduleDamage, testing::Bool());

TEST_P(ScheduleDamage, IsEitherRefusedOrStillASchedule) {
  const std::string text = (GetParam() ? livelock(100) : example()).to_text();
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
