// Workloads survive their text form, hostile text gets an error, and shrinking ends.
#include <algorithm>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "scenarios/limits.h"
#include "scenarios/scenario.h"
#include "scenarios/shrink.h"
#include "scenarios/shrink_operations.h"
#include "scenarios/workload_text.h"
#include "tests/unit/sparse.h"

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
            "line 2: system.data_blocks = -1: wants 1 to 256");
  EXPECT_EQ(error("[[actor]]\noperations = [ \"explode thin=0\" ]\n"),
            "line 2: 'explode' is no operation");
  EXPECT_EQ(error("[[actor]]\noperations = [ \"write thin=99999999 sector=0\" ]\n"),
            "line 2: 'thin=99999999' in 'write thin=99999999 sector=0': wants 0 to 15");
  EXPECT_EQ(error("[setup]\noperations = [ \"write thin\" ]\n"),
            "line 2: 'thin' in 'write thin' is not key=number");
  EXPECT_NE(error("scenario = \n"), "accepted");
}

TEST(WorkloadText, SaysWhatCannotWork) {
  const auto error = [](std::string_view text) {
    const auto read = from_toml(text);
    return read.has_value() ? std::string{"accepted"} : read.error();
  };
  const std::string pool = "[system]\n";
  const std::string cache = "[system]\nfamily = \"cache\"\nblock_sectors = 64\n[cache]\n";
  const std::string stack = "[system]\nfamily = \"stack\"\ndata_blocks = 3\n";
  const std::vector<std::pair<std::string, std::string>> wrong{
      {"", "no [system]: what is it to run on?"},
      {"\nscenario = \"nope\"\n" + pool,
       "line 2: workload.scenario = \"nope\": wants one that `wavetank list scenarios` names"},
      {pool + "block_sectors = 100\n",
       "line 2: system.block_sectors = 100: wants a multiple of 128 from 128 to 1024"},
      {pool + "family = \"cache\"\nblock_sectors = 96\n",
       "line 3: system.block_sectors = 96: wants a multiple of 64 from 64 to 1024"},
      {pool + "data_blocks = 0\n", "line 2: system.data_blocks = 0: wants 1 to 256"},
      {pool + "data_blocks = 2.5\n", "line 2: system.data_blocks = 2.5: wants 1 to 256"},
      {pool + "data_blocks = \"many\"\n", "line 2: system.data_blocks = \"many\": wants 1 to 256"},
      {pool + "data_blocks = 8\ndata_device_blocks = 4\n",
       "line 3: system.data_device_blocks = 4: wants at least the 8 of data_blocks"},
      {pool + "data_blocks = 200\nblock_sectors = 256\n",
       "system.data_device_blocks = 200: wants at most 128 blocks of 256 sectors"},
      {pool + "metadata_blocks = 8\n", "line 2: system.metadata_blocks = 8: wants 18 to 4096"},
      {pool + "fan_out = 7\n",
       "line 2: system.fan_out = 7: wants 0 or a multiple of 3 from 6 to 252"},
      {pool + "commit_interval_ms = 1\n",
       "line 2: system.commit_interval_ms = 1: wants 0 or 500 to 600000"},
      {pool + "discard_reads = \"what\"\n",
       "line 2: system.discard_reads = \"what\": wants one of zeroes, old_data, garbage"},
      {pool + "thins = [{ id = 0, blocks = 4294967296 }]\n",
       "line 2: system.thins[0].blocks = 4294967296: wants 1 to 64"},
      {pool + "thins = [{ id = 16, blocks = 1 }]\n",
       "line 2: system.thins[0].id = 16: wants 0 to 15"},
      {pool + "thins = [{ id = 1, blocks = 1 },\n { id = 1, blocks = 1 }]\n",
       "line 3: system.thins[1].id = 1: wants an id that no other thin has"},
      {pool + "thins = [{ id = 1, blocks = 1, external = true }]\n",
       "line 2: system.thins[0].external = true: wants false where external_sectors is 0"},
      {cache + "blocks = 268435456\n", "line 5: cache.blocks = 268435456: wants 1 to 64"},
      {cache + "blocks = 3\nblocks_max = 2\n",
       "line 6: cache.blocks_max = 2: wants at least the 3 of blocks"},
      {cache + "origin_blocks = 0\n", "line 5: cache.origin_blocks = 0: wants 1 to 64"},
      {cache + "tail_sectors = 64\n",
       "line 5: cache.tail_sectors = 64: wants less than a block of 64 sectors"},
      {stack + "thins = [{ id = 0, blocks = 1 }]\n[cache]\ntail_sectors = 1\n",
       "line 6: cache.tail_sectors = 1: wants 0 in a stack, which says what it stands on"},
      {stack, "system.thins = []: wants thin 0 first: the cache stands on it"},
      {stack + "thins = [{ id = 0, blocks = 1 }]\n[stack]\ncache_block_sectors = 256\n",
       "line 6: stack.cache_block_sectors = 256: wants at most the 128 sectors of thin 0"},
      {stack + "[stack]\nshape = \"pool_over_cache\"\ncache_block_sectors = 256\n",
       "line 3: system.data_blocks = 3: wants at most the 2 that fit on a cache of whole blocks of "
       "256 sectors"},
      {pool + "[faults]\nstall_ms = 1000000000\n",
       "line 3: faults.stall_ms = 1000000000: wants 0 to 600000"},
      {pool + "[setup]\noperations = [\"sleep ms=1099511627776\"]\n",
       "line 3: 'ms=1099511627776' in 'sleep ms=1099511627776': wants 0 to 600000"},
      {pool + "[setup]\noperations = [\"flush thin=0\",\n\"sleep sectors=700000\"]\n",
       "line 4: setup.operations[1] = sleep ms=700000: wants ms from 0 to 600000"},
  };
  for (const auto& [text, said] : wrong)
    EXPECT_EQ(error(text), said) << text;
  const auto many = [&](int count, const char* operation) {
    std::string list;
    for (int i = 0; i < count; ++i)
      list += fmt::format("\"{}\",", operation);
    return error(pool + "[[actor]]\noperations = [" + list + "]\n");
  };
  EXPECT_EQ(many(500, "flush"), "accepted");
  EXPECT_EQ(many(501, "flush"),
            "line 3: actor[0].operations[500] = flush thin=0: wants at most 500 operations in all");
  EXPECT_EQ(
      many(401, "discard sector=0 sectors=1280"),
      "line 3: actor[0].operations[400] = discard thin=0 sector=0 sectors=1280: wants at most "
      "4000 blocks reached by all together");
  std::string actors = pool;
  for (int i = 0; i < 65; ++i)
    actors += fmt::format("[[actor]]\nname = \"a{}\"\noperations = [\"flush\"]\n", i);
  EXPECT_EQ(error(actors), "line 194: actor[64] = a64: wants at most 64 actors");
}

TEST(WorkloadLimits, HoldForWhatIsDrawnAndShrunk) {
  rc::Random random{7};
  for (const Scenario& scenario : all_scenarios()) {
    for (std::uint64_t seed = 0; seed < 1500; seed += unit::sparse()) {
      Workload workload = workload_of(scenario, seed).value();
      const auto wrong = unusable(workload);
      ASSERT_FALSE(wrong) << wrong->key << " = " << wrong->value << ": wants " << wrong->wants
                          << "\n"
                          << to_toml(workload);
      if (seed % (25 * unit::sparse()) != 0) continue;
      // Down some way of many, all of whose steps can be read again.
      for (int step = 0; step < 60; ++step) {
        rc::Seq<Workload> candidates = shrinks(workload);
        std::optional<Workload> chosen;
        std::uint64_t count = 0;
        for (auto each = candidates.next(); each && count < 40; each = candidates.next()) {
          ASSERT_FALSE(unusable(*each)) << to_toml(*each);
          if (random.next() % ++count == 0) chosen = std::move(*each);
        }
        if (!chosen) break;
        workload = *std::move(chosen);
      }
      EXPECT_TRUE(from_toml(to_toml(workload)).has_value()) << to_toml(workload);
    }
  }
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

// Two thins fill a pool, of which one block is discarded while a write wants one.
Workload of_a_full_pool() {
  Workload workload;
  workload.scenario = "thin-general";
  workload.system.data_blocks = workload.system.data_device_blocks = 4;
  workload.system.thins = {{0, 4}, {1, 4}};
  for (const std::uint32_t thin : {0U, 1U})
    for (const std::uint64_t block : {0U, 1U})
      workload.setup.push_back(
          {.verb = Verb::write, .thin = thin, .sector = block * 128, .sectors = 128});
  workload.actors = {
      {"discarder", {{.verb = Verb::discard, .thin = 0, .sector = 0, .sectors = 128}}},
      {"writer", {{.verb = Verb::write, .thin = 0, .sector = 256, .sectors = 128}}}};
  return workload;
}

std::vector<Workload> candidates_of(const Workload& workload) {
  std::vector<Workload> all;
  rc::Seq<Workload> candidates = shrinks(workload);
  for (auto each = candidates.next(); each; each = candidates.next())
    all.push_back(*std::move(each));
  return all;
}

// With either alone nothing fails any more: it takes a full pool.
TEST(WorkloadShrink, TakesWritesAndTheBlocksThatTheyFillTogether) {
  const Workload full = of_a_full_pool();
  bool one = false;
  bool all = false;
  for (const Workload& each : candidates_of(full)) {
    if (each.actors != full.actors || each.system.data_blocks != each.setup.size()) continue;
    one |= each.setup.size() == 3;
    all |= each.setup == std::vector<Operation>{full.setup.front()};
  }
  EXPECT_TRUE(one) << "one write and one block";
  EXPECT_TRUE(all) << "all that the actors do not come to, at once";
}

TEST(WorkloadShrink, TakesAThinWithAllThatIsDoneToIt) {
  Workload wanted = of_a_full_pool();
  wanted.setup.resize(2);
  wanted.system.thins.pop_back();
  wanted.system.data_blocks = wanted.system.data_device_blocks = 2;
  const std::vector<Workload> all = candidates_of(of_a_full_pool());
  EXPECT_NE(std::find(all.begin(), all.end(), wanted), all.end());
}

// What makes something and what undoes it goes together only. Sixteen are few.
TEST(WorkloadShrink, TakesTwoOperationsAtATimeOfAFew) {
  for (const std::size_t others : {0U, 8U}) {
    Workload workload = of_a_full_pool();
    for (std::size_t i = 0; i < others; ++i)
      workload.actors[i % 2].operations.push_back({.verb = Verb::status});
    Workload wanted = workload;
    workload.setup.insert(workload.setup.begin(), {.verb = Verb::reserve_snap});
    workload.actors[1].operations.push_back({.verb = Verb::release_snap});
    const std::vector<Workload> all = candidates_of(workload);
    EXPECT_NE(std::find(all.begin(), all.end(), wanted), all.end())
        << "of " << workload.operation_count();
  }
}

// A snapshot holds what its origin has lost since: nothing is left of that in the origin.
TEST(WorkloadShrink, TakesTheOriginForASnapshotOfIt) {
  const Workload wanted = of_a_full_pool();
  Workload workload = wanted;
  workload.actors[0].operations[0].thin = 3;
  workload.setup.push_back({.verb = Verb::create_snap, .thin = 3, .origin = 0});
  std::vector<Workload> all = candidates_of(workload);
  EXPECT_NE(std::find(all.begin(), all.end(), wanted), all.end()) << "as it is";
  workload.setup.push_back({.verb = Verb::discard, .thin = 0, .sector = 0, .sectors = 128});
  workload.setup.push_back({.verb = Verb::status});
  Workload as_it_was = wanted;
  as_it_was.setup.push_back({.verb = Verb::status});
  all = candidates_of(workload);
  EXPECT_NE(std::find(all.begin(), all.end(), as_it_was), all.end()) << "as it was";
}

// Two actors of whom neither can meet without the other, and too much for pairs.
Workload of_many_meetings() {
  Workload workload = of_a_full_pool();
  for (Actor& actor : workload.actors) {
    for (int i = 0; i < 9; ++i) {
      actor.operations.insert(actor.operations.begin(), {.verb = Verb::status});
      actor.operations.insert(actor.operations.begin() + i, {.verb = Verb::meet});
    }
  }
  workload.actors[1].operations.push_back({.verb = Verb::meet});
  return workload;
}

TEST(WorkloadShrink, TakesMeetingsOfAllActorsTogether) {
  const Workload workload = of_many_meetings();
  const std::vector<Workload> all = candidates_of(workload);
  const auto is_candidate = [&](const Workload& wanted) {
    return std::find(all.begin(), all.end(), wanted) != all.end();
  };
  Workload wanted = workload;
  for (Actor& actor : wanted.actors)
    std::erase_if(actor.operations, [](const Operation& each) { return each.verb == Verb::meet; });
  EXPECT_TRUE(is_candidate(wanted)) << "all of them";
  for (std::size_t which = 0; which < 9; ++which) {
    wanted = workload;
    for (Actor& actor : wanted.actors) {
      std::size_t met = 0;
      std::erase_if(actor.operations, [&](const Operation& each) {
        return each.verb == Verb::meet && met++ == which;
      });
    }
    EXPECT_TRUE(is_candidate(wanted)) << "meeting " << which;
  }
}

TEST(WorkloadShrink, TakesAllOperationsOfAKindTogether) {
  const Workload workload = of_many_meetings();
  Workload wanted = workload;
  for (Actor& actor : wanted.actors)
    std::erase_if(actor.operations,
                  [](const Operation& each) { return each.verb == Verb::status; });
  const std::vector<Workload> all = candidates_of(workload);
  EXPECT_NE(std::find(all.begin(), all.end(), wanted), all.end());
}

TEST(WorkloadShrink, CoresAreOneOrTwoOperationsAndWhatTheyComeTo) {
  Workload workload = of_a_full_pool();
  workload.actors[0].operations.push_back({.verb = Verb::flush});
  workload.actors[1].operations.insert(workload.actors[1].operations.begin(),
                                       {.verb = Verb::status});
  Workload wanted = of_a_full_pool();
  wanted.setup.resize(1);
  wanted.system.data_blocks = wanted.system.data_device_blocks = 1;
  bool found = false;
  rc::Seq<Workload> candidates = cores(workload);
  for (auto each = candidates.next(); each; each = candidates.next()) {
    EXPECT_FALSE(unusable(*each)) << to_toml(*each);
    EXPECT_LT(each->operation_count(), workload.operation_count());
    found |= *each == wanted;
  }
  EXPECT_TRUE(found);
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
