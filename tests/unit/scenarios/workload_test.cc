// Workloads survive their text form, hostile text gets an error, and shrinking ends.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "scenarios/scenario.h"
#include "scenarios/shrink.h"
#include "scenarios/workload_text.h"

namespace scenarios {
namespace {

TEST(Workload, SurvivesItsTextForm) {
  for (const Scenario& scenario : all_scenarios()) {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
      const Workload workload = workload_of(scenario, seed).value();
      const auto read = from_toml(to_toml(workload));
      ASSERT_TRUE(read.has_value()) << read.error() << "\n" << to_toml(workload);
      EXPECT_EQ(*read, workload) << to_toml(workload);
    }
  }
}

TEST(Workload, TheSameSeedGivesTheSameWorkload) {
  const Scenario& general = *find_scenario("thin-general");
  EXPECT_EQ(workload_of(general, 7).value(), workload_of(general, 7).value());
  EXPECT_NE(workload_of(general, 7).value(), workload_of(general, 8).value());
}

TEST(Workload, GeneralTrafficDrawsEveryVerb) {
  std::set<Verb> seen;
  for (const char* name : {"thin-general", "cache-general", "stack-general"}) {
    for (std::uint64_t seed = 0; seed < 400; ++seed) {
      for (const Actor& actor : workload_of(*find_scenario(name), seed).value().actors) {
        for (const Operation& operation : actor.operations)
          seen.insert(operation.verb);
      }
    }
  }
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(kLastVerb) + 1);
}

TEST(Workload, GeneralTrafficDrawsEveryFault) {
  using Kind = std::uint32_t FaultSpec::*;
  std::set<std::pair<std::string, int>> seen;
  const std::vector<Kind> kinds{&FaultSpec::power_cuts,
                                &FaultSpec::metadata_read_errors,
                                &FaultSpec::metadata_write_errors,
                                &FaultSpec::data_read_errors,
                                &FaultSpec::data_write_errors,
                                &FaultSpec::metadata_latency_ms,
                                &FaultSpec::data_latency_ms,
                                &FaultSpec::stalls,
                                &FaultSpec::stall_ms,
                                &FaultSpec::data_no_space};
  for (const char* name : {"thin-general", "cache-general"}) {
    for (std::uint64_t seed = 0; seed < 400; ++seed) {
      const FaultSpec faults = workload_of(*find_scenario(name), seed).value().faults;
      for (std::size_t i = 0; i < kinds.size(); ++i)
        if (faults.*kinds[i] != 0) seen.emplace(name, i);
    }
  }
  // A cache's disks are as large as they say.
  EXPECT_EQ(seen.size(), 2 * kinds.size() - 1);
}

TEST(WorkloadText, SaysWhichLineIsWrong) {
  const auto error = [](std::string_view text) {
    const auto read = from_toml(text);
    return read.has_value() ? std::string{"accepted"} : read.error();
  };
  EXPECT_EQ(error("scenario = \"x\"\n[system]\nno_such = 1\n"),
            "line 3: system: unknown key 'no_such'");
  EXPECT_EQ(error("[system]\ndata_blocks = -1\n"),
            "line 2: system: data_blocks wants a whole number from 0 to 4294967296");
  EXPECT_EQ(error("[[actor]]\noperations = [ \"explode thin=0\" ]\n"),
            "line 2: 'explode' is no operation");
  EXPECT_EQ(error("[[actor]]\noperations = [ \"write thin=99999999 sector=0\" ]\n"),
            "line 2: 'thin=99999999' in 'write thin=99999999 sector=0' is too large");
  EXPECT_EQ(error("[setup]\noperations = [ \"write thin\" ]\n"),
            "line 2: 'thin' in 'write thin' is not key=number");
  EXPECT_NE(error("scenario = \n"), "accepted");
}

TEST(WorkloadText, TakesAnyBytes) {
  const std::string good = to_toml(workload_of(*find_scenario("thin-general"), 3).value());
  for (std::size_t length = 0; length < good.size(); ++length)
    (void)from_toml(std::string_view{good}.substr(0, length));
  rc::Random random{1};
  for (int i = 0; i < 2000; ++i) {
    std::string bad = good;
    for (int hit = 0; hit < 3; ++hit)
      bad[random.next() % bad.size()] = static_cast<char>(random.next());
    (void)from_toml(bad);
  }
}

TEST(WorkloadShrink, DescendsToNothing) {
  Workload workload = workload_of(*find_scenario("thin-general"), 11).value();
  // Always taking the first shrink must end, at a workload that has none.
  int steps = 0;
  for (auto next = shrinks(workload).next(); next; next = shrinks(workload).next()) {
    ASSERT_NE(*next, workload);
    workload = *next;
    ASSERT_LT(++steps, 1000);
  }
  EXPECT_EQ(workload.operation_count(), 0U);
  EXPECT_EQ(workload.faults, FaultSpec{});
}

TEST(WorkloadShrink, TriesEveryOperationAway) {
  Workload workload;
  workload.actors = {{"a", {{.verb = Verb::write, .sectors = 1}, {.verb = Verb::flush}}},
                     {"b", {{.verb = Verb::read, .sectors = 1}}}};
  std::set<std::size_t> counts;
  rc::Seq<Workload> candidates = shrinks(workload);
  for (auto each = candidates.next(); each; each = candidates.next())
    counts.insert(each->operation_count());
  EXPECT_TRUE(counts.contains(1));
  EXPECT_TRUE(counts.contains(2));
}

}   // namespace
}   // namespace scenarios
