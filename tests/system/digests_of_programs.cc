// What library programs do under the tank, as a digest (digests_test.py): it has to be the same in
// every build.
//
//     digests_of_programs PROGRAM STRATEGY SEED SCHEDULES
//
// With the strategy "explore" the program is explored, with SEED preemptions at most ("-": any
// number) and for SCHEDULES executions at most.
#include <charconv>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <xxhash.h>

#include <fmt/format.h>

#include "sim/library/explore.h"
#include "sim/strategies.h"
#include "tests/unit/library/programs.h"
#include "tests/unit/library/programs_further.h"

namespace {

const std::map<std::string_view, sim::Program> kPrograms{
    {"account", programs::account},
    {"bluetooth_driver", programs::bluetooth_driver},
    {"carter01", programs::carter01},
    {"deadlock01", programs::deadlock01},
    {"din_phil_3", [] { programs::din_phil(3); }},
    {"lastzero_4", [] { programs::lastzero(4); }},
    {"peterson_waiting", programs::peterson_waiting},
    {"queue", programs::queue},
    {"readers_writers_2_2", [] { programs::readers_writers(2, 2); }},
    {"reorder_5", [] { programs::reorder(5); }},
    {"safe_stack", programs::safe_stack},
    {"seqlock_2", [] { programs::seqlock(2); }},
    {"stack", programs::stack},
    {"sync02", programs::sync02},
    {"twostage_2_2", [] { programs::twostage(2, 2); }},
    {"wronglock_1_3", [] { programs::wronglock(1, 3); }},
};

class Digest {
 public:
  void add(std::uint64_t value) { all_ = XXH64(&value, sizeof value, all_); }
  void add(std::string_view text) { all_ = XXH64(text.data(), text.size(), all_); }
  // What was found, but for its place, which has the path of a source.
  void add(const std::optional<sim::Found>& found) {
    add(std::uint64_t{found.has_value()});
    if (!found) return;
    add(sim::to_string(found->finding.kind));
    add(found->ordinal);
    add(found->preemptions);
    add(found->digest);
    add(found->schedule.to_text());
  }
  [[nodiscard]] std::uint64_t value() const { return all_; }

 private:
  std::uint64_t all_ = 0;
};

// Shrinking is counted in tries, not in seconds, which are fewer in a slow build.
constexpr std::uint64_t kShrinkTries = 200;

// Every schedule, whether it fails or not; and the first finding, shrunk.
void search(const sim::Program& program, const std::string& strategy, std::uint64_t seed,
            std::uint64_t schedules, Digest& digest) {
  sim::StrategyBox box;
  if (!box.choose(strategy)) return;
  auto execution = std::make_unique<sim::Execution>();
  for (std::uint64_t i = 0; i < schedules; ++i) {
    execution->reset({.seed = seed + i, .strategy = &box.for_seed(i), .points_max = 10'000});
    const sim::Outcome& outcome = execution->run(program);
    digest.add(outcome.digest);
    digest.add(outcome.points);
    digest.add(outcome.preemptions);
    if (!outcome.finding) continue;
    digest.add(sim::to_string(outcome.finding->kind));
    execution = std::make_unique<sim::Execution>();   // its stacks are lost
  }
  digest.add(sim::search(program, {.seed = seed,
                                   .schedules = schedules,
                                   .strategy = strategy,
                                   .points_max = 10'000,
                                   .shrink_tries = kShrinkTries,
                                   .shrink_seconds = 0})
                 .found);
}

void explore(const sim::Program& program, std::optional<std::uint32_t> preemptions,
             std::uint64_t executions, Digest& digest) {
  const sim::Exploration done = sim::explore(program, {.executions_max = executions,
                                                       .points_max = 10'000,
                                                       .shrink_tries = kShrinkTries,
                                                       .shrink_seconds = 0,
                                                       .preemptions = preemptions});
  digest.add(done.executions);
  digest.add(done.cut_short);
  digest.add(std::uint64_t{done.complete});
  digest.add(done.limits);
  digest.add(done.found);
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}   // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  const auto program = kPrograms.find(argv[1]);
  const std::string strategy = argv[2];
  const auto seed = number(argv[3]);
  const auto schedules = number(argv[4]);
  const bool all = strategy == "explore";
  if (program == kPrograms.end() || !schedules || (!seed && !all) ||
      (!all && !sim::StrategyBox{}.choose(strategy))) {
    fmt::print(stderr, "{}: no such search\n", argv[1]);
    return 2;
  }
  Digest digest;
  if (all) {
    std::optional<std::uint32_t> preemptions;
    if (seed) preemptions = static_cast<std::uint32_t>(*seed);
    explore(program->second, preemptions, *schedules, digest);
  } else {
    search(program->second, strategy, *seed, *schedules, digest);
  }
  fmt::print("digest: {:016x}\n", digest.value());
  return 0;
}
