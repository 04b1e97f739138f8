// Executions of hundreds of thousands of points: who gets turns where fibers give way again and
// again, and what is kept of them.
#include <algorithm>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "engine/fiber/atomic.h"
#include "engine/fiber/completion.h"
#include "engine/fiber/mutex.h"
#include "sim/event_log.h"
#include "sim/execution.h"
#include "sim/first_and_last.h"
#include "sim/strategy_random.h"
#include "sim/strategy_replay.h"
#include "sim/trace_of.h"
#include "sim/tsan.h"
#include "traces/html.h"
#include "traces/reader.h"
#include "traces/run_model.h"
#include "traces/story.h"
#include "traces/svg.h"
#include "traces/wording.h"
#include "traces/writer.h"

namespace sim {
namespace {

constexpr std::size_t kKept = EventLog::kFirst + EventLog::kLast;

TEST(FirstAndLast, KeepsThoseAndTheirPlaces) {
  for (int count = 0; count < 40; ++count) {
    FirstAndLast<int> numbers{3, 7};
    std::vector<int> expected;
    for (int i = 0; i < count; ++i) {
      numbers.add(i);
      if (i < 3 || i >= count - 7) expected.push_back(i);
    }
    ASSERT_EQ(numbers.kept(), expected.size());
    EXPECT_EQ(numbers.left_out(), static_cast<std::size_t>(count) - expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i)
      EXPECT_EQ(numbers[i], expected[i]) << i << " of " << count;
    if (numbers.left_out() != 0) {
      EXPECT_EQ(numbers[numbers.gap()], count - 7);
    }
    for (int before = 0; before <= count; ++before) {
      const auto kept =
          std::count_if(expected.begin(), expected.end(), [&](int each) { return each < before; });
      EXPECT_EQ(numbers.place_of(static_cast<std::uint64_t>(before)),
                static_cast<std::size_t>(kept))
          << before << " of " << count;
    }
  }
}

TEST(FirstAndLast, KeepsFewerWhenItIsTold) {
  for (int count = 0; count < 40; ++count) {
    FirstAndLast<int> numbers{6, 9};
    std::vector<int> expected;
    for (int i = 0; i < count; ++i) {
      numbers.add(i);
      if (count <= 7 || i < 2 || i >= count - 5) expected.push_back(i);
    }
    numbers.narrow(2, 5);
    ASSERT_EQ(numbers.kept(), expected.size());
    EXPECT_EQ(numbers.count(), static_cast<std::uint64_t>(count));
    for (std::size_t i = 0; i < expected.size(); ++i)
      EXPECT_EQ(numbers[i], expected[i]) << i << " of " << count;
    if (numbers.left_out() != 0) {
      EXPECT_EQ(numbers[numbers.gap()], count - 5);
      EXPECT_EQ(numbers.place_of(3), 2U);
      EXPECT_EQ(numbers.place_of(static_cast<std::uint64_t>(count)), 7U);
    }
  }
}

// Two spin, and the rule of schedule.h would have them take turns for ever.
void all_before_the_last() {
  engine::Atomic<int> over{"over"};
  engine::Completion ended{"ended", 4};
  const auto start = [&](const char* name, bool gives_way) {
    engine::current_executor().spawn(name, [&, gives_way] {
      while (over.load() == 0) {
        if (gives_way) engine::yield_now();
      }
      ended.signal();
    });
  };
  start("gives way", true);
  start("spins", false);
  start("spins, too", false);
  engine::current_executor().spawn("the last", [&] {
    over.store(1);
    ended.signal();
  });
  ended.wait();
}

// By the rule; or each has its turn but the last.
class Unfair final : public Strategy {
 public:
  explicit Unfair(bool by_rule) noexcept : by_rule_{by_rule} {}
  void begin(std::uint64_t /*seed*/) override {}
  std::uint32_t pick(const Choices& choices) override {
    const auto fibers = static_cast<std::uint32_t>(choices.fibers.size());
    if (by_rule_ || fibers < 2) return choices.fallback;
    std::uint32_t next = turn_++ % fibers;
    if (choices.fibers[next]->name() == std::string_view{"the last"}) next = turn_++ % fibers;
    return next;
  }
  std::uint32_t value(const SimFiber& /*self*/, const char* /*what*/, std::uint32_t /*count*/,
                      std::uint32_t /*one_in*/) override {
    return 0;
  }

 private:
  bool by_rule_;
  std::uint32_t turn_ = 0;
};

TEST(FairEnd, ComesToEverybody) {
  Unfair unfair{false};
  ExecutionOptions options{.strategy = &unfair, .points_max = 100'000};
  Execution without{options};
  ASSERT_TRUE(without.run(all_before_the_last).finding);
  options.fair_end = true;
  Execution with{options};
  const Outcome& ended = with.run(all_before_the_last);
  ASSERT_FALSE(ended.finding) << ended.finding->message;
  EXPECT_GE(ended.points, 100'000U);
  // Its decisions are recorded like any, and a replay does not miss those that fair turns made.
  Replay replay{ended.schedule};
  for (const bool fair_end : {true, false}) {
    Execution again{
        {.strategy = &replay, .points_max = fair_end ? 100'000U : 200'000U, .fair_end = fair_end}};
    const Outcome& replayed = again.run(all_before_the_last);
    EXPECT_FALSE(replayed.finding);
    EXPECT_EQ(replayed.digest, ended.digest) << fair_end;
    EXPECT_FALSE(replay.divergence()) << replay.divergence()->text;
  }
}

TEST(FairEnd, IsForThoseWhoGiveWay) {
  Unfair rule{true};
  Execution execution{{.strategy = &rule, .points_max = 100'000, .fair_end = true}};
  const Outcome& outcome = execution.run([] {
    engine::yield_now();   // once, long ago
    const engine::Atomic<int> never{"never"};
    while (never.load() == 0) {
    }
  });
  ASSERT_TRUE(outcome.finding);
  EXPECT_EQ(outcome.points, 100'000U);
}

class Counts final : public engine::TraceSink {
 public:
  void event(const engine::Event& /*event*/) noexcept override { ++events; }
  std::uint64_t events = 0;
};

void two_for_a_lock(int rounds) {
  engine::Mutex mutex{"mutex"};
  engine::Completion ended{"ended", 2};
  for (const char* name : {"a", "b"}) {
    engine::current_executor().spawn(name, [&, rounds] {
      for (int i = 0; i < rounds; ++i)
        const engine::MutexLock lock{mutex};
      ended.signal();
    });
  }
  ended.wait();
  engine::check_failed(engine::CheckKind::assertion, {}, "enough", std::source_location::current());
}

TEST(LongRun, KeepsItsBeginningItsEndAndEveryDecisionOfTheSchedule) {
  RandomWalk walk{RandomWalk::Temper::plain};
  Execution execution{{.seed = 1, .strategy = &walk, .trace = true}};
  Counts counts;
  execution.add_sink(counts);
  const Outcome& outcome = execution.run([] { two_for_a_lock(40'000); });
  ASSERT_TRUE(outcome.finding);
  const traces::Trace trace = trace_of(execution);
  ASSERT_EQ(trace.events.size(), kKept + 1);
  EXPECT_EQ(trace.decisions.size(), kKept);
  const auto gap = std::find_if(trace.events.begin(), trace.events.end(),
                                [](const auto& event) { return event.op == traces::kLeftOut; });
  ASSERT_EQ(static_cast<std::size_t>(gap - trace.events.begin()), EventLog::kFirst);
  EXPECT_EQ(gap->a, counts.events - kKept);
  EXPECT_GT(gap->b, 10'000U);
  EXPECT_EQ(trace.events.front().op, "fiber_spawn");
  EXPECT_GE(trace.events.back().point + 3, outcome.points);
  // Each decision is where it was: between events of its time.
  std::uint64_t last = 0;
  for (const traces::Decision& decision : trace.decisions) {
    ASSERT_GE(decision.events_before, last);
    last = decision.events_before;
    ASSERT_LE(last, trace.events.size());
    if (last != 0 && trace.events[last - 1].op != traces::kLeftOut) {
      ASSERT_LE(trace.events[last - 1].point, decision.point);
    }
    if (last < trace.events.size()) {
      ASSERT_GE(trace.events[last].point, decision.point);
    }
  }
  const std::string bytes = traces::write_trace(trace);
  const auto read = traces::read_trace(bytes);
  ASSERT_TRUE(read) << read.error();
  EXPECT_EQ(*read, trace);
  const auto schedule = Schedule::from_text(read->schedule);
  ASSERT_TRUE(schedule);
  EXPECT_EQ(schedule->decisions, outcome.schedule.decisions);
  EXPECT_GT(schedule->decisions.size(), trace.decisions.size());
}

TEST(LongRun, IsToldAndDrawnWithWhatIsLeftOut) {
  std::vector<std::size_t> sizes;
  for (const int rounds : {20'000, 80'000}) {
    RandomWalk walk{RandomWalk::Temper::plain};
    Execution execution{{.seed = 1, .strategy = &walk, .trace = true}};
    ASSERT_TRUE(execution.run([=] { two_for_a_lock(rounds); }).finding);
    const traces::Trace trace = trace_of(execution);
    const traces::Event& gap = trace.events[EventLog::kFirst];
    const std::string words =
        std::to_string(gap.a) + " events and " + std::to_string(gap.b) + " decisions";
    const std::string told = traces::left_out_words(trace);
    EXPECT_NE(told.find(words), std::string::npos) << told;
    EXPECT_NE(told.find("before step " + std::to_string(gap.point) + " "), std::string::npos);
    const std::string html = traces::render_html(trace);
    EXPECT_NE(html.find(told), std::string::npos);
    const std::string story = traces::render_story(trace, {});
    EXPECT_NE(story.find(words), std::string::npos) << story;
    EXPECT_NE(traces::render_svg(trace).find(std::to_string(gap.a) + " events"), std::string::npos);
    sizes.push_back(html.size());
  }
  // However long it was.
  EXPECT_LT(sizes[1], sizes[0] + sizes[0] / 8);
  EXPECT_LT(sizes[1], 5'000'000U);
}

TEST(LongRun, OfFewEventsLeavesOutDecisionsWhereTheyWere) {
  RandomWalk walk{RandomWalk::Temper::plain};
  Execution execution{{.seed = 1, .strategy = &walk, .points_max = 100'000, .trace = true}};
  const Outcome& outcome = execution.run([] {
    engine::Completion ended{"ended", 2};
    for (const char* name : {"a", "b"}) {
      engine::current_executor().spawn(name, [&] {
        for (;;)
          engine::yield_now();
      });
    }
    ended.wait();
  });
  ASSERT_TRUE(outcome.finding);
  const traces::Trace trace = trace_of(execution);
  ASSERT_LT(trace.events.size(), 100U);
  ASSERT_EQ(trace.decisions.size(), EventLog::kFirstOfEndless + EventLog::kLastOfEndless);
  EXPECT_EQ(trace.events.back().op, traces::kLeftOut);
  EXPECT_EQ(trace.events.back().a, 0U);
  // The gap lies between the two that it parts.
  const std::size_t first = EventLog::kFirstOfEndless;
  EXPECT_EQ(trace.decisions[first - 1].events_before, trace.events.size() - 1);
  EXPECT_EQ(trace.decisions[first].events_before, trace.events.size());
}

TEST(LongRun, OfAShortOneEverythingIsKept) {
  RandomWalk walk{RandomWalk::Temper::plain};
  Execution execution{{.seed = 1, .strategy = &walk, .trace = true}};
  Counts counts;
  execution.add_sink(counts);
  ASSERT_TRUE(execution.run([] { two_for_a_lock(1'000); }).finding);
  const traces::Trace trace = trace_of(execution);
  EXPECT_EQ(trace.events.size(), counts.events);
  EXPECT_EQ(traces::left_out_words(trace), "");
}

}   // namespace
}   // namespace sim
