// Exploration of programs with I/O against every single schedule of them: whatever comes about in
// one of these comes about in one of those that are explored.
#include <array>
#include <deque>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include "sim/rng.h"
#include "sim/strategy_bounded.h"
#include "sim/tank.h"
#include "sim/tsan.h"
#include "tests/unit/library/every_schedule.h"
#include "tests/unit/sim/sim_device_requests.h"
#include "tests/unit/sparse.h"

namespace sim {
namespace {

constexpr std::uint64_t kSectors = 2;

// By fiber, which submits them one after the other and then waits for all: three or four of one, or
// two of one and one of another.
using AskedScript = std::vector<std::vector<Asked>>;

AskedScript draw(Rng& rng) {
  static constexpr std::array kOps{BioOp::write, BioOp::write,   BioOp::read,
                                   BioOp::read,  BioOp::discard, BioOp::flush};
  AskedScript script(1 + rng.below(2));
  for (auto& requests : script) {
    std::size_t count = &requests == &script[0] ? 2 : 1;
    for (count += script.size() == 1 ? 1 + rng.below(2) : 0; count != 0; --count) {
      Asked request{.op = kOps.at(rng.below(kOps.size()))};
      if (request.op != BioOp::flush) {
        request.sector = rng.below(kSectors);
        request.sectors = 1 + rng.below(static_cast<std::uint32_t>(kSectors - request.sector));
        request.fua = request.op == BioOp::write && rng.one_in(2);
      }
      requests.push_back(request);
    }
  }
  return script;
}

// What reads have seen, what is on the disk in the end, and what of it is safe.
std::string run(Execution& execution, const AskedScript& script) {
  SimDevice disk{execution, "disk", {.sectors = kSectors, .discard_leaves = DiscardLeaves::zeroes}};
  std::vector<std::string> seen(script.size());
  Threads threads;
  for (std::size_t i = 0; i < script.size(); ++i) {
    threads.start("user", [&, i] {
      std::deque<Sent> sent;
      for (Asked request : script[i]) {
        request.fill = static_cast<char>((i == 0 ? 'a' : 'A') + sent.size());
        sent.emplace_back(request);
      }
      for (Sent& each : sent)
        each.submit(disk);
      for (Sent& each : sent) {
        each.wait();
        const Hush hush;
        if (each.bio.op == BioOp::read)
          seen[i] += letters_at(each.buffer.data(), each.bio.sectors) + ' ';
      }
    });
  }
  threads.join();
  const Hush hush;
  return fmt::format("{} / {} / {}", fmt::join(seen, "/"),
                     letters_of(*disk.snapshot(), 0, kSectors),
                     letters_of(*disk.durable_snapshot(), 0, kSectors));
}

// What an execution told that is taken for equivalent to one before does not count.
bool is_another(const unit::EverySchedule& /*search*/) {
  return true;
}
bool is_another(const Bounded& search) {
  return search.was_new();
}

template <typename Search>
std::set<std::string> told(Search& search, const AskedScript& script, std::uint64_t& runs,
                           std::uint64_t runs_most) {
  std::set<std::string> told;
  Execution execution;
  do {
    execution.reset({.strategy = &search});
    std::string all;
    EXPECT_FALSE(execution.run([&] { all = run(execution, script); }).finding);
    if (is_another(search)) told.insert(all);
  } while (++runs != runs_most && search.next());
  return told;
}

TEST(ExploreIo, BringsAboutWhatAllSchedulesDo) {
  if (unit::sparse() > 1) GTEST_SKIP() << "every execution or none";
  constexpr std::uint64_t kRunsMost = 30'000;
  Rng rng{29};
  std::uint64_t all = 0;
  std::uint64_t explored = 0;
  std::uint32_t several = 0;
  for (std::uint32_t round = 0; round < 40; ++round) {
    const AskedScript script = draw(rng);
    unit::EverySchedule every{unit::EverySchedule::kAnyNumber, unit::EverySchedule::Where::noticed};
    std::uint64_t runs = 0;
    const std::set<std::string> by_all = told(every, script, runs, kRunsMost);
    if (runs == kRunsMost) continue;
    Bounded search{{}};
    EXPECT_EQ(told(search, script, explored, ~std::uint64_t{0}), by_all) << round;
    all += runs;
    several += by_all.size() > 1 ? 1 : 0;
  }
  EXPECT_GT(all, 10'000U);
  EXPECT_GT(several, 10U);
}

}   // namespace
}   // namespace sim
