// The two-generation rule against a model, and the packing of counts.
#include "engine/pdata/space_map_counts.h"

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace engine::pdata {
namespace {

constexpr std::uint64_t kBlocks = kEntriesPerBitmap + 40;   // two bitmaps, the second partial

struct Model {
  std::uint64_t nr_blocks = 0;
  std::map<std::uint64_t, int> now;   // absent: 0
  std::map<std::uint64_t, int> before;
  std::set<std::uint64_t> staged;

  [[nodiscard]] bool allocatable(std::uint64_t block) const {
    return !now.contains(block) && !before.contains(block) && !staged.contains(block);
  }
};

void expect_same(const Model& model, SpaceMapCounts& counts) {
  RC_ASSERT(counts.nr_blocks() == model.nr_blocks);
  RC_ASSERT(counts.nr_allocated() == model.now.size());
  std::uint64_t embargoed = 0;
  for (const auto& [block, count] : model.before)
    embargoed += model.now.contains(block) ? 0U : 1U;
  RC_ASSERT(counts.nr_embargoed() == embargoed);
  RC_ASSERT(counts.staged() == model.staged);
  RC_ASSERT(counts.nr_allocatable() ==
            model.nr_blocks - model.now.size() - embargoed - model.staged.size());
  for (std::size_t i = 0; i < counts.nr_bitmaps(); ++i) {
    std::uint64_t used = 0;
    std::uint64_t first_free = 0;
    const std::uint64_t base = i * kEntriesPerBitmap;
    const std::uint64_t end = std::min(kEntriesPerBitmap, model.nr_blocks - base);
    for (auto it = model.now.lower_bound(base);
         it != model.now.end() && it->first < base + kEntriesPerBitmap; ++it)
      ++used;
    while (first_free < end && model.now.contains(base + first_free))
      ++first_free;
    RC_ASSERT(counts.nr_free(i) == kEntriesPerBitmap - used);
    RC_ASSERT(counts.none_free_before(i) == first_free);
  }
}

// What one step does to both. Everything is a number, so that it shrinks.
struct CountStep {
  std::uint32_t kind;
  std::uint32_t which;
};
void showValue(const CountStep& step, std::ostream& out) {
  out << "{" << step.kind << ", " << step.which << "}";
}

void allocate(Model& model, SpaceMapCounts& counts) {
  const bool any = counts.nr_allocatable() != 0;
  const auto block = counts.allocate();
  RC_ASSERT(block.has_value() == any);
  if (!block) return;
  RC_ASSERT(*block < model.nr_blocks);
  RC_ASSERT(model.allocatable(*block));
  RC_ASSERT(counts.new_in_transaction(*block));
  model.now[*block] = 1;
}

void stage(Model& model, SpaceMapCounts& counts) {
  const bool any = counts.nr_allocatable() != 0;
  const auto block = counts.stage();
  RC_ASSERT(block.has_value() == any);
  if (!block) return;
  RC_ASSERT(model.allocatable(*block));
  RC_ASSERT(counts.get(*block) == SmallCount::zero);
  model.staged.insert(*block);
}

enum class End : std::uint8_t { taken, dropped, staged_again };

void end_stage(Model& model, SpaceMapCounts& counts, std::uint32_t which, End end) {
  if (model.staged.empty()) return;
  const auto at = std::next(model.staged.begin(), which % model.staged.size());
  if (end == End::taken) {
    counts.take_staged(*at);
    RC_ASSERT(counts.new_in_transaction(*at));
    model.now[*at] = 1;
  } else {
    counts.unstage(*at);
  }
  if (end == End::staged_again) {
    counts.stage(*at);
  } else {
    model.staged.erase(at);
  }
}

void change(Model& model, SpaceMapCounts& counts, std::uint32_t which, bool up) {
  if (model.now.empty()) return;
  auto at = std::next(model.now.begin(), which % model.now.size());
  const int count = at->second + (up ? 1 : -1);
  if (count > 3) return;
  counts.set(at->first, static_cast<SmallCount>(count));
  RC_ASSERT(counts.get(at->first) == static_cast<SmallCount>(count));
  if (count == 0)
    model.now.erase(at);
  else
    at->second = count;
}

void apply(const CountStep& step, Model& model, SpaceMapCounts& counts) {
  switch (step.kind % 12) {
    case 0:
    case 1:
    case 2:
      return allocate(model, counts);
    case 3:
    case 4:
      return change(model, counts, step.which, false);
    case 5:
      return change(model, counts, step.which, true);
    case 6:
      counts.committed();
      model.before = model.now;
      return;
    case 7:
    case 8:
      return stage(model, counts);
    case 9:
      return end_stage(model, counts, step.which, End::taken);
    case 10:
      return end_stage(model, counts, step.which,
                       step.which % 2 == 0 ? End::dropped : End::staged_again);
    default:
      model.nr_blocks += step.which % 4 == 0 ? step.which : step.which % 3;
      counts.resize(model.nr_blocks);
      return;
  }
}

RC_GTEST_PROP(SpaceMapCountsProperty, NeverReusesABlockFreedInTheSameTransaction, ()) {
  const auto steps = *rc::gen::container<std::vector<CountStep>>(rc::gen::construct<CountStep>(
      rc::gen::inRange<std::uint32_t>(0, 12), rc::gen::inRange<std::uint32_t>(0, 64)));
  // Few blocks, so that it runs full; across the border of two bitmaps.
  const auto room = *rc::gen::inRange<std::uint64_t>(1, 12);
  const std::uint64_t prefilled = *rc::gen::inRange<std::uint64_t>(0, 2) * (kEntriesPerBitmap - 5);
  Model model;
  model.nr_blocks = prefilled + room;
  SpaceMapCounts counts{model.nr_blocks};
  for (std::uint64_t i = 0; i < prefilled; ++i)
    allocate(model, counts);
  counts.committed();
  model.before = model.now;
  for (const CountStep& step : steps)
    apply(step, model, counts);
  expect_same(model, counts);
}

RC_GTEST_PROP(SpaceMapCountsProperty, StoredCountsLoadAgain, ()) {
  const auto values = *rc::gen::container<std::map<std::uint64_t, int>>(
      rc::gen::inRange<std::uint64_t>(0, kBlocks), rc::gen::inRange(1, 4));
  SpaceMapCounts counts{kBlocks};
  for (const auto& [block, count] : values)
    counts.set(block, static_cast<SmallCount>(count));
  SpaceMapCounts loaded{kBlocks};
  std::uint64_t many = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    std::vector<std::byte> packed(kEntriesPerBitmap / 4);
    counts.store(i, packed);
    many += loaded.load(i, packed);
    RC_ASSERT(!loaded.dirty(i));
  }
  RC_ASSERT(many ==
            static_cast<std::uint64_t>(std::count_if(values.begin(), values.end(),
                                                     [](const auto& v) { return v.second == 3; })));
  RC_ASSERT(loaded.nr_allocated() == values.size());
  for (const auto& [block, count] : values)
    RC_ASSERT(loaded.get(block) == static_cast<SmallCount>(count));
}

TEST(SpaceMapCounts, PacksTheTwosBitFirst) {
  // docs/format/: counts 1, 2, 1 are pairs 10, 01, 10 from the low end: 0x26.
  SpaceMapCounts counts{200};
  counts.set(0, SmallCount::one);
  counts.set(1, SmallCount::two);
  counts.set(2, SmallCount::one);
  std::vector<std::byte> packed(kEntriesPerBitmap / 4);
  counts.store(0, packed);
  EXPECT_EQ(packed[0], std::byte{0x26});
  EXPECT_EQ(counts.nr_free(0), 16317U);
  EXPECT_EQ(counts.none_free_before(0), 3U);
}

TEST(SpaceMapCounts, IgnoresEntriesBeyondTheEnd) {
  SpaceMapCounts counts{5};
  std::vector<std::byte> packed(kEntriesPerBitmap / 4, std::byte{0xff});
  EXPECT_EQ(counts.load(0, packed), 5U);
  EXPECT_EQ(counts.nr_allocated(), 5U);
  counts.store(0, packed);
  EXPECT_EQ(packed[1], std::byte{3});
  EXPECT_EQ(packed[2], std::byte{0});
}

TEST(SpaceMapCounts, SearchesFromTheCursorAndThenFromTheStart) {
  SpaceMapCounts counts{4};
  for (std::uint64_t i = 0; i < 4; ++i)
    EXPECT_EQ(counts.allocate(), i);
  EXPECT_EQ(counts.allocate(), std::nullopt);
  counts.committed();
  counts.set(1, SmallCount::zero);
  EXPECT_EQ(counts.allocate(), std::nullopt);   // in use at the last commit
  counts.committed();
  EXPECT_EQ(counts.allocate(), 1U);
}

TEST(SpaceMapCounts, ABlockNewInTheTransactionMayBeReusedInIt) {
  SpaceMapCounts counts{1};
  EXPECT_EQ(counts.allocate(), 0U);
  counts.set(0, SmallCount::zero);
  EXPECT_EQ(counts.allocate(), 0U);
}

}   // namespace
}   // namespace engine::pdata
