// Schedules to the first bug of published small programs, a strategy a column, beside the figures
// of the SURW artifact (ASPLOS 2025): mean over the successes of 20 trials with at most 10,000
// schedules each, and how many trials found it where not all did. Then the same for schedules that
// were drawn: most strategies begin with one that is the same for all seeds, which finds much by
// itself. Then how long the hardest of them takes, and exhaustive exploration.
//
//   search_bench [trials [strategy...]]   (20, all; without trials only exploration)
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <time.h>

#include <fmt/format.h>

#include "sim/execution.h"
#include "sim/process.h"
#include "sim/strategies.h"
#include "sim/tank.h"
#include "tests/unit/library/programs.h"
#include "tests/unit/library/programs_further.h"

namespace {

constexpr std::uint64_t kBudget = 10'000;

struct Row {
  const char* name;
  sim::Program program;
  // By strategy. Guided search is set beside RFF's.
  std::map<std::string, std::string, std::less<>> published;
};

std::vector<Row> rows() {
  const auto row = [](const char* name, sim::Program program, const char* pct, const char* pos,
                      const char* urw, const char* surw, const char* guided) {
    return Row{name,
               std::move(program),
               {{"pct", pct}, {"pos", pos}, {"urw", urw}, {"surw", surw}, {"guided", guided}}};
  };
  return {
      row("account", programs::account, "3.4", "4.1", "1.9", "4.8", "1.0"),
      row("deadlock01", programs::deadlock01, "12", "3.5", "1.6", "0.8", "4.7"),
      row("lazy01", programs::lazy01, "3.9", "4.7", "3.0", "1.0", "6.4"),
      row(
          "reorder_3", [] { programs::reorder(3); }, "184", "86", "23", "6.3", "6.7"),
      row(
          "reorder_4", [] { programs::reorder(4); }, "553", "533", "21", "6.3", "6.2"),
      row(
          "reorder_5", [] { programs::reorder(5); }, "646", "2169", "26", "9.4", "5.8"),
      row(
          "reorder_10", [] { programs::reorder(10); }, "", "", "", "", ""),
      row(
          "reorder_20", [] { programs::reorder(20); }, "", "", "", "", ""),
      row("stack", programs::stack, "2.2", "1.7", "985", "3.6", "1.6"),
      row("token_ring", programs::token_ring, "7.2", "8.6", "8.0", "7.2", "5.1"),
      row(
          "twostage", [] { programs::twostage(1, 1); }, "12", "15", "8.0", "6.5", "8.2"),
      row(
          "twostage_20", [] { programs::twostage(19, 1); }, "158", "156", "23", "4.7", "22"),
      row(
          "din_phil_3", [] { programs::din_phil(3); }, "", "", "", "", ""),
      row(
          "din_phil_7", [] { programs::din_phil(7); }, "", "", "", "", ""),
      row(
          "wronglock", [] { programs::wronglock(1, 7); }, "", "", "", "", ""),
      row(
          "wronglock_3", [] { programs::wronglock(1, 3); }, "", "", "", "", ""),
      row("bluetooth", programs::bluetooth_driver, "", "", "", "", ""),
      row("carter01", programs::carter01, "", "", "", "", ""),
      row("circular_buffer", programs::circular_buffer, "", "", "", "", ""),
      row("queue", programs::queue, "", "", "", "", ""),
      row("sync01", programs::sync01, "", "", "", "", ""),
      row("sync02", programs::sync02, "", "", "", "", ""),
      row(
          "reorder_50", [] { programs::reorder(50); }, "", "", "", "", ""),
      row(
          "twostage_50", [] { programs::twostage(49, 1); }, "", "", "", "", ""),
  };
}

std::uint64_t seed_of(std::uint64_t trial) {
  return 1 + trial * 1'000'000;
}

// Which schedule finds the bug; 0: none does.
std::uint64_t found_by(const sim::Program& program, const std::string& strategy,
                       std::uint64_t trial) {
  const sim::SearchResult result = sim::search(program, {.seed = seed_of(trial),
                                                         .schedules = kBudget,
                                                         .strategy = strategy,
                                                         .lock_order = false,
                                                         .shrink_tries = 0});
  return result.found ? result.found->ordinal : 0;
}

// The same of those that are drawn: a first one that is the same for all seeds, from which the
// strategy learns what the program does, is not counted, nor is what that finds.
std::uint64_t drawn_by(const sim::Program& program, const std::string& name, std::uint64_t trial) {
  sim::StrategyBox box;
  if (!box.choose(name)) return 0;
  auto execution = std::make_unique<sim::Execution>();   // anew once it has failed
  std::uint64_t drawn = 0;
  for (std::uint64_t i = 0; drawn < kBudget; ++i) {
    const std::uint64_t seed = seed_of(trial) + i;
    sim::Strategy& strategy = box.for_seed(seed);
    const bool fixed = strategy.will_learn() || (i == 0 && strategy.keeps_learning());
    drawn += fixed ? 0 : 1;
    execution->reset({.seed = seed, .strategy = &strategy});
    if (!execution->run(program).finding) continue;
    if (!fixed) return drawn;
    execution = std::make_unique<sim::Execution>();
  }
  return 0;
}

using Trial = std::uint64_t (*)(const sim::Program&, const std::string&, std::uint64_t);

std::string trials(Trial trial, const sim::Program& program, const std::string& strategy,
                   std::uint64_t times) {
  std::uint64_t found = 0;
  std::uint64_t sum = 0;
  for (std::uint64_t i = 0; i < times; ++i) {
    const std::uint64_t ordinal = trial(program, strategy, i);
    sum += ordinal;
    found += ordinal != 0 ? 1 : 0;
  }
  if (found == 0) return fmt::format("0/{}", times);
  const double mean = static_cast<double>(sum) / static_cast<double>(found);
  return fmt::format("{:.1f}{}", mean, found == times ? "" : fmt::format(" {}/{}", found, times));
}

void print_table(Trial trial, const std::vector<std::string>& strategies, std::uint64_t times) {
  fmt::print("{:<15}", "");
  for (const std::string& strategy : strategies)
    fmt::print(" {:>16}", strategy);
  fmt::print("\n");
  for (const Row& row : rows()) {
    fmt::print("{:<15}", row.name);
    for (const std::string& strategy : strategies) {
      const auto known = row.published.find(strategy);
      const bool any = known != row.published.end() && !known->second.empty();
      fmt::print(" {:>16}", trials(trial, row.program, strategy, times) +
                                (any ? fmt::format(" ({})", known->second) : ""));
    }
    fmt::print("\n");
    std::fflush(stdout);
  }
}

double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// The hardest of the published programs needs five preemptions at the right places: more schedules
// than the others, and so a time.
void print_safe_stack(const std::vector<std::string>& strategies, std::uint64_t times) {
  constexpr std::uint64_t kSchedulesMax = 2'000'000;
  fmt::print("{:<14} {:>8} {:>12} {:>10} {:>14}\n", "SafeStack", "found", "schedules", "seconds",
             "schedules/s");
  for (const std::string& strategy : strategies) {
    std::uint64_t found = 0;
    std::uint64_t schedules = 0;
    const double began = cpu_seconds();
    for (std::uint64_t i = 0; i < times; ++i) {
      const sim::SearchResult result =
          sim::search(programs::safe_stack, {.seed = 1 + i * 10 * kSchedulesMax,
                                             .schedules = kSchedulesMax,
                                             .strategy = strategy,
                                             .lock_order = false,
                                             .shrink_tries = 0});
      found += result.found ? 1 : 0;
      schedules += result.found ? result.found->ordinal : result.schedules;
    }
    const double seconds = cpu_seconds() - began;
    const auto all = static_cast<double>(schedules);
    const auto searches = static_cast<double>(times);
    fmt::print("{:<14} {:>8} {:>12.0f} {:>10.1f} {:>14.0f}\n", strategy,
               fmt::format("{}/{}", found, times), all / searches, seconds / searches,
               all / seconds);
    std::fflush(stdout);
  }
  fmt::print("\n");
}

void explored(const char* name, const sim::Program& program) {
  const double began = cpu_seconds();
  const sim::Exploration result = sim::explore(program, {.probes = 200});
  double seconds = cpu_seconds() - began;
  std::uint64_t executions = result.executions;
  // Again and again where there are few.
  for (; seconds < 0.5; seconds = cpu_seconds() - began)
    executions += sim::explore(program, {.probes = 0}).executions;
  fmt::print("{:<21} {:>12} {:>10} {:>10} {:>14.3g} {:>14.0f}\n", name, result.executions,
             result.cut_short, result.complete ? "yes" : "no", result.interleavings.number,
             static_cast<double>(executions) / seconds);
}

}   // namespace

int main(int argc, char** argv) {
  const std::uint64_t times = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 20;
  sim::keep_freed_memory();
  std::vector<std::string> strategies{"random", "pct", "pos", "urw", "surw", "guided", "portfolio"};
  if (argc > 2) strategies.assign(argv + 2, argv + argc);
  if (times != 0) {
    fmt::print("schedules to the first bug; in brackets what is published\n");
    print_table(found_by, strategies, times);
    fmt::print("\nthe same of schedules that are drawn\n");
    print_table(drawn_by, strategies, times);
    fmt::print("\n");
    print_safe_stack({"pos", "guided", "portfolio"}, std::min<std::uint64_t>(times, 10));
  }
  fmt::print("{:<21} {:>12} {:>10} {:>10} {:>14} {:>14}\n", "exploration", "executions",
             "cut short", "complete", "interleavings", "executions/s");
  explored("ainc(7)", [] { programs::ainc(7); });
  explored("lockinc(7)", [] { programs::lockinc(7); });
  explored("readers(13)", [] { programs::readers(13); });
  explored("locked_readers(6, 1)", [] { programs::locked_readers(6, 1); });
  explored("locked_readers(3, 2)", [] { programs::locked_readers(3, 2); });
  explored("peterson", [] { static_cast<void>(programs::peterson()); });
  return 0;
}
