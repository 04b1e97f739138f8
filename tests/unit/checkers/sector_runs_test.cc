// Runs of sectors: cut at the edges of a change, joined where they have become equal, and at every
// moment what a map with an entry for each sector would hold.
#include "checkers/sector_runs.h"

#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

namespace checkers {
namespace {

using Runs = SectorRuns<int>;

void set(Runs& runs, std::uint64_t first, std::uint64_t end, int value) {
  runs.change(first, end, 0, [&](int& held) { held = value; });
}

std::optional<int> value_at(const Runs& runs, std::uint64_t sector) {
  const int* const value = runs.at(sector).value;
  return value == nullptr ? std::nullopt : std::optional{*value};
}

TEST(SectorRuns, AChangeCutsARunAtItsEdges) {
  Runs runs;
  set(runs, 0, 10, 1);
  set(runs, 4, 6, 2);
  EXPECT_EQ(runs.nr_runs(), 3U);
  EXPECT_EQ(value_at(runs, 3), 1);
  EXPECT_EQ(value_at(runs, 4), 2);
  EXPECT_EQ(value_at(runs, 5), 2);
  EXPECT_EQ(value_at(runs, 6), 1);
  EXPECT_EQ(runs.at(1).end, 4U);
}

TEST(SectorRuns, WhatHasBecomeEqualIsOneRunAgain) {
  Runs runs;
  set(runs, 0, 10, 1);
  set(runs, 4, 6, 2);
  set(runs, 4, 6, 1);
  EXPECT_EQ(runs.nr_runs(), 1U);
  set(runs, 10, 12, 1);
  EXPECT_EQ(runs.nr_runs(), 1U);
  EXPECT_EQ(runs.at(0).end, 12U);
  set(runs, 3, 5, 2);
  runs.change_all([](int& held) { held = 7; });
  EXPECT_EQ(runs.nr_runs(), 1U);
}

TEST(SectorRuns, GapsAreFilledWhereTheyAreTouched) {
  Runs runs;
  set(runs, 2, 4, 1);
  set(runs, 8, 9, 1);
  runs.change(0, 12, 40, [](int& held) { held += 2; });
  EXPECT_EQ(value_at(runs, 1), 42);
  EXPECT_EQ(value_at(runs, 2), 3);
  EXPECT_EQ(value_at(runs, 5), 42);
  EXPECT_EQ(value_at(runs, 8), 3);
  EXPECT_EQ(value_at(runs, 11), 42);
  EXPECT_EQ(value_at(runs, 12), std::nullopt);
}

TEST(SectorRuns, AGapEndsWhereTheNextRunBegins) {
  Runs runs;
  set(runs, 5, 7, 1);
  EXPECT_EQ(runs.at(0).value, nullptr);
  EXPECT_EQ(runs.at(0).end, 5U);
  EXPECT_EQ(runs.at(7).end, std::numeric_limits<std::uint64_t>::max());
}

TEST(SectorRuns, AnEmptyChangeCutsNothing) {
  Runs runs;
  set(runs, 0, 10, 1);
  set(runs, 5, 5, 2);
  EXPECT_EQ(runs.nr_runs(), 1U);
}

// A sum shows that every sector is changed once, a small one that many become equal again.
RC_GTEST_PROP(SectorRunsProperty, HoldWhatAMapOfSectorsHolds, ()) {
  constexpr std::uint64_t kSectors = 32;
  const auto changes =
      *rc::gen::container<std::vector<std::tuple<std::uint64_t, std::uint64_t, int>>>(
          rc::gen::tuple(rc::gen::inRange<std::uint64_t>(0, kSectors),
                         rc::gen::inRange<std::uint64_t>(0, kSectors + 1),
                         rc::gen::inRange(0, 12)));
  Runs runs;
  std::map<std::uint64_t, int> model;
  for (const auto& [first, end, by] : changes) {
    const auto change = [&, by = by](int& held) { held = (held + by) % 4; };
    if (by == 0) {
      runs.change_all([](int& held) { held /= 2; });
      for (auto& [sector, held] : model)
        held /= 2;
    } else {
      runs.change(first, end, 3, change);
      for (std::uint64_t sector = first; sector < end; ++sector)
        change(model.try_emplace(sector, 3).first->second);
    }
    std::size_t nr_runs = 0;
    std::optional<int> before;
    for (std::uint64_t sector = 0; sector <= kSectors; ++sector) {
      const auto found = model.find(sector);
      const auto expected = found == model.end() ? std::nullopt : std::optional{found->second};
      RC_ASSERT(value_at(runs, sector) == expected);
      if (expected && expected != before) ++nr_runs;
      before = expected;
    }
    RC_ASSERT(runs.nr_runs() == nr_runs);
  }
}

}   // namespace
}   // namespace checkers
