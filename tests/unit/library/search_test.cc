// The searches find the bugs of the known programs, shrink them, and replay them.
#include <gtest/gtest.h>

#include "tests/unit/library/programs.h"

namespace sim {
namespace {

struct Known {
  const char* name;
  Program program;
  FindingKind kind = FindingKind::assertion;
};

std::vector<Known> known_programs() {
  return {{"account", programs::account},
          {"deadlock01", programs::deadlock01, FindingKind::deadlock},
          {"lazy01", programs::lazy01},
          {"reorder_3", [] { programs::reorder(3); }},
          {"stack", programs::stack},
          {"token_ring", programs::token_ring},
          {"twostage", [] { programs::twostage(1, 1); }}};
}

TEST(Search, FindsShrinksAndReplaysWhatIsKnown) {
  for (const Known& known : known_programs()) {
    const SearchResult result = search(known.program);
    ASSERT_TRUE(result.found) << known.name;
    EXPECT_EQ(result.found->finding.kind, known.kind) << known.name;
    EXPECT_LE(result.found->preemptions, 2U) << known.name;
    Execution execution;
    for (int i = 0; i < 2; ++i) {
      const Outcome& again = replay(execution, known.program, result.found->schedule);
      ASSERT_TRUE(again.finding) << known.name;
      EXPECT_EQ(again.finding->signature(), result.found->finding.signature()) << known.name;
    }
  }
}

TEST(Search, ExplorationFindsThemToo) {
  for (const Known& known : known_programs()) {
    const Exploration result = explore(known.program);
    ASSERT_TRUE(result.found) << known.name;
    EXPECT_EQ(result.found->finding.kind, known.kind) << known.name;
  }
}

TEST(Search, SaysWhenAProgramIsNotDeterministic) {
  int runs = 0;
  const SearchResult result = search(
      [&] {
        Variable<int> x{"x"};
        for (int i = 0; i < runs; ++i)
          x.set(i);
        ++runs;
      },
      {.strategy = "random"});
  ASSERT_TRUE(result.found);
  EXPECT_EQ(result.found->finding.place, "determinism");
}

}   // namespace
}   // namespace sim
