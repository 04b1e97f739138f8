// Schedules to the first bug of published small programs, a strategy a column, beside the figures
// of the SURW artifact (ASPLOS 2025): mean over the successes of 20 trials with at most 10,000
// schedules each, and how many trials found it where not all did. Then exhaustive exploration.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include <time.h>

#include <fmt/format.h>

#include "sim/process.h"
#include "tests/unit/library/programs.h"

namespace {

constexpr std::uint64_t kTrials = 20;
constexpr std::uint64_t kBudget = 10'000;

struct Row {
  const char* name;
  sim::Program program;
  const char* published_pct;
  const char* published_pos;
  const char* published_urw;
  const char* published_surw;
};

std::vector<Row> rows() {
  return {
      {"account", programs::account, "3.4", "4.1", "1.9", "4.8"},
      {"deadlock01", programs::deadlock01, "12", "3.5", "1.6", "0.8"},
      {"lazy01", programs::lazy01, "3.9", "4.7", "3.0", "1.0"},
      {"reorder_3", [] { programs::reorder(3); }, "184", "86", "23", "6.3"},
      {"reorder_4", [] { programs::reorder(4); }, "553", "533", "21", "6.3"},
      {"reorder_5", [] { programs::reorder(5); }, "646", "2169", "26", "9.4"},
      {"stack", programs::stack, "2.2", "1.7", "985", "3.6"},
      {"token_ring", programs::token_ring, "7.2", "8.6", "8.0", "7.2"},
      {"twostage", [] { programs::twostage(1, 1); }, "12", "15", "8.0", "6.5"},
      {"twostage_20", [] { programs::twostage(10, 10); }, "158", "156", "23", "4.7"},
  };
}

std::string trials(const sim::Program& program, const std::string& strategy) {
  std::uint64_t found = 0;
  std::uint64_t sum = 0;
  for (std::uint64_t trial = 0; trial < kTrials; ++trial) {
    const sim::SearchResult result = sim::search(program, {.seed = 1 + trial * 1'000'000,
                                                           .schedules = kBudget,
                                                           .strategy = strategy,
                                                           .lock_order = false,
                                                           .shrink_tries = 0});
    if (!result.found) continue;
    ++found;
    sum += result.found->ordinal;
  }
  if (found == 0) return fmt::format("0/{}", kTrials);
  const double mean = static_cast<double>(sum) / static_cast<double>(found);
  return fmt::format("{:.1f}{}", mean, found == kTrials ? "" : fmt::format(" {}/20", found));
}

double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

void explored(const char* name, const sim::Program& program) {
  const double began = cpu_seconds();
  const sim::Exploration result = sim::explore(program, {.probes = 200});
  const double seconds = cpu_seconds() - began;
  fmt::print("{:<14} {:>12} {:>10} {:>10} {:>14.3g} {:>14.0f}\n", name, result.executions,
             result.cut_short, result.complete ? "yes" : "no", result.interleavings,
             static_cast<double>(result.executions) / std::max(seconds, 1e-9));
}

}   // namespace

int main() {
  sim::keep_freed_memory();
  const std::vector<std::string> strategies{"random", "pct", "pos", "urw", "surw"};
  fmt::print("schedules to the first bug; in brackets what is published\n{:<12}", "");
  for (const std::string& strategy : strategies)
    fmt::print(" {:>16}", strategy);
  fmt::print(" {:>10}\n", "in turn");
  for (const Row& row : rows()) {
    fmt::print("{:<12}", row.name);
    const std::vector<std::string> published{"", row.published_pct, row.published_pos,
                                             row.published_urw, row.published_surw};
    for (std::size_t i = 0; i < strategies.size(); ++i) {
      const std::string beside = published[i].empty() ? "" : fmt::format(" ({})", published[i]);
      fmt::print(" {:>16}", trials(row.program, strategies[i]) + beside);
    }
    fmt::print(" {:>10}\n", trials(row.program, sim::SearchOptions{}.strategy));
    std::fflush(stdout);
  }
  fmt::print("\n{:<14} {:>12} {:>10} {:>10} {:>14} {:>14}\n", "exploration", "executions",
             "cut short", "complete", "interleavings", "executions/s");
  explored("ainc(7)", [] { programs::ainc(7); });
  explored("lockinc(7)", [] { programs::lockinc(7); });
  explored("readers(13)", [] { programs::readers(13); });
  explored("peterson", [] { static_cast<void>(programs::peterson()); });
  return 0;
}
