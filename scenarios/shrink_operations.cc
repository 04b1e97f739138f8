#include "scenarios/shrink_operations.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include <rapidcheck.h>
#include <rapidcheck/seq/Create.h>
#include <rapidcheck/seq/Transform.h>

#include "scenarios/limits.h"

namespace scenarios {
namespace {

// Operations: of so few, more is tried.
constexpr std::size_t kFew = 12;
constexpr std::size_t kFewForPairs = 16;   // 120 pairs
constexpr std::size_t kFewOfActors = 6;

// An operation by its list, of which the set-up is the one after the actors', and its place there.
struct Place {
  std::size_t list = 0;
  std::size_t index = 0;
  friend auto operator<=>(const Place&, const Place&) = default;
};
using Places = std::vector<Place>;

[[nodiscard]] const std::vector<Operation>& list_of(const Workload& workload, std::size_t list) {
  return list == workload.actors.size() ? workload.setup : workload.actors[list].operations;
}

[[nodiscard]] Places places_of(const Workload& workload) {
  Places all;
  for (std::size_t list = 0; list <= workload.actors.size(); ++list)
    for (std::size_t i = 0; i < list_of(workload, list).size(); ++i)
      all.push_back({list, i});
  return all;
}

// `gone` in ascending order.
[[nodiscard]] Workload without(const Workload& workload, const Places& gone) {
  Workload smaller = workload;
  for (auto place = gone.rbegin(); place != gone.rend(); ++place) {
    std::vector<Operation>& list = place->list == workload.actors.size()
                                       ? smaller.setup
                                       : smaller.actors[place->list].operations;
    list.erase(list.begin() + static_cast<std::ptrdiff_t>(place->index));
  }
  std::erase_if(smaller.actors, [](const Actor& each) { return each.operations.empty(); });
  return smaller;
}

using Blocks = std::set<std::pair<std::uint32_t, std::uint64_t>>;   // of thins

[[nodiscard]] Blocks blocks_of(const Operation& operation, std::uint64_t block_sectors) {
  Blocks blocks;
  if (!is_transfer(operation.verb) || operation.sectors == 0) return blocks;
  const std::uint64_t end = std::min(operation.sector, limits::kDiskSectors) +
                            std::min(operation.sectors, limits::kDiskSectors);
  for (std::uint64_t block = operation.sector / block_sectors; block * block_sectors < end; ++block)
    blocks.emplace(operation.thin, block);
  return blocks;
}

// What is mapped when all of it has been done, were there no snapshots and discards.
[[nodiscard]] Blocks written(const Workload& workload) {
  Blocks blocks;
  for (const Place place : places_of(workload)) {
    const Operation& each = list_of(workload, place.list)[place.index];
    if (each.verb == Verb::write) blocks.merge(blocks_of(each, workload.system.block_sectors));
  }
  return blocks;
}

// `fewer` on the pool of `before`, and on what is left of that without the blocks that are written
// no more. One of a few operations on one that is a block smaller yet: what is written anew to a
// block that was discarded or is shared takes another.
[[nodiscard]] std::vector<Workload> with_pools(const Workload& before, Workload fewer) {
  std::vector<Workload> candidates;
  const std::size_t blocks = written(before).size() - written(fewer).size();
  const std::size_t most = blocks + (before.operation_count() <= kFew ? 1 : 0);
  candidates.push_back(fewer);
  for (std::size_t lower = std::max<std::size_t>(blocks, 1); lower <= most; ++lower) {
    if (before.system.family == FamilyKind::cache) break;
    candidates.push_back(fewer);
    lower_pool(candidates.back().system, lower);
  }
  std::erase_if(candidates,
                [&](const Workload& each) { return each == before || unusable(each).has_value(); });
  return candidates;
}

[[nodiscard]] rc::Seq<Workload> without_each(const Workload& workload, std::vector<Places> sets) {
  return rc::seq::mapcat(rc::seq::fromContainer(std::move(sets)), [workload](const Places& gone) {
    return rc::seq::fromContainer(with_pools(workload, without(workload, gone)));
  });
}

// Whole lists, then halves of all of them, and so on.
[[nodiscard]] std::vector<Places> runs(const Workload& workload) {
  std::vector<Places> sets;
  std::size_t longest = 0;
  for (std::size_t list = 0; list <= workload.actors.size(); ++list)
    longest = std::max(longest, list_of(workload, list).size());
  for (std::size_t parts = 1; parts / 2 < longest; parts *= 2) {
    for (std::size_t list = 0; list <= workload.actors.size(); ++list) {
      const std::size_t count = list_of(workload, list).size();
      const std::size_t width = count / parts;
      if (width == 0) continue;
      const std::size_t step = std::max<std::size_t>(width / 2, 1);
      for (std::size_t begin = 0; begin + step <= count; begin += step) {
        Places& run = sets.emplace_back();
        for (std::size_t i = begin; i < std::min(begin + width, count); ++i)
          run.push_back({list, i});
        if (begin + width >= count) break;
      }
    }
  }
  return sets;
}

// What belongs together, wherever it is: all meetings, then each of them, of all who come to it, as
// whoever meets holds the others up and cannot do without them; all operations of a kind.
[[nodiscard]] std::vector<Places> kinds(const Workload& workload) {
  std::map<Verb, Places> of_verbs;
  std::map<std::size_t, Places> meetings;
  for (std::size_t list = 0; list <= workload.actors.size(); ++list) {
    std::size_t met = 0;
    for (std::size_t i = 0; i < list_of(workload, list).size(); ++i) {
      const Verb verb = list_of(workload, list)[i].verb;
      of_verbs[verb].push_back({list, i});
      // In the set-up nobody waits.
      if (verb == Verb::meet && list != workload.actors.size())
        meetings[met++].push_back({list, i});
    }
  }
  std::vector<Places> sets;
  if (const auto all = of_verbs.find(Verb::meet); all != of_verbs.end())
    sets.push_back(all->second);
  for (auto& [number, meeting] : meetings)
    sets.push_back(std::move(meeting));
  for (auto& [verb, places] : of_verbs)
    if (verb != Verb::meet) sets.push_back(std::move(places));
  // One by itself is a run.
  std::erase_if(sets, [](const Places& each) { return each.size() < 2; });
  return sets;
}

// What actors come to, and what that may be a snapshot of.
[[nodiscard]] Blocks touched_by_actors(const Workload& workload) {
  Blocks touched;
  for (const Actor& actor : workload.actors)
    for (const Operation& each : actor.operations)
      touched.merge(blocks_of(each, workload.system.block_sectors));
  for (const Place place : places_of(workload)) {
    const Operation& snap = list_of(workload, place.list)[place.index];
    if (snap.verb != Verb::create_snap) continue;
    Blocks origin;
    for (const auto& [thin, block] : touched)
      if (thin == snap.thin) origin.emplace(snap.origin, block);
    touched.merge(origin);
  }
  return touched;
}

// Of the set-up's transfers, those of blocks that no actor comes to.
[[nodiscard]] Places untouched(const Workload& workload) {
  const Blocks touched = touched_by_actors(workload);
  Places gone;
  for (std::size_t i = 0; i < workload.setup.size(); ++i) {
    const Blocks blocks = blocks_of(workload.setup[i], workload.system.block_sectors);
    const bool apart = std::none_of(blocks.begin(), blocks.end(),
                                    [&](const auto& block) { return touched.contains(block); });
    if (!blocks.empty() && apart) gone.push_back({workload.actors.size(), i});
  }
  return gone;
}

[[nodiscard]] Workload without_thin(const Workload& workload, std::uint32_t thin) {
  Places gone;
  for (const Place place : places_of(workload)) {
    const Operation& each = list_of(workload, place.list)[place.index];
    if (each.thin == thin || (each.verb == Verb::create_snap && each.origin == thin))
      gone.push_back(place);
  }
  Workload smaller = without(workload, gone);
  std::erase_if(smaller.system.thins, [&](const ThinSpec& each) { return each.id == thin; });
  return smaller;
}

[[nodiscard]] std::vector<Workload> without_thins(const Workload& workload) {
  std::vector<Workload> smaller;
  std::set<std::uint32_t> thins;
  for (const ThinSpec& thin : workload.system.thins)
    thins.insert(thin.id);
  for (const Place place : places_of(workload))
    thins.insert(list_of(workload, place.list)[place.index].thin);
  for (const std::uint32_t thin : thins) {
    for (Workload& each : with_pools(workload, without_thin(workload, thin)))
      smaller.push_back(std::move(each));
  }
  return smaller;
}

// What a snapshot is there for, done to its origin: as that is in the end and, where the set-up has
// taken the snapshot, as it was then.
[[nodiscard]] std::vector<Workload> without_snaps(const Workload& workload) {
  std::vector<Workload> smaller;
  for (const Place snap : places_of(workload)) {
    const Operation taken = list_of(workload, snap.list)[snap.index];
    if (taken.verb != Verb::create_snap || taken.thin == taken.origin) continue;
    Places later;
    for (std::size_t i = snap.index + 1; i < list_of(workload, snap.list).size(); ++i) {
      const Operation& each = list_of(workload, snap.list)[i];
      if (is_transfer(each.verb) && each.thin == taken.origin) later.push_back({snap.list, i});
    }
    Places gone{snap};
    for (const bool as_it_was : {false, true}) {
      if (as_it_was && (later.empty() || snap.list != workload.actors.size())) continue;
      if (as_it_was) gone.insert(gone.end(), later.begin(), later.end());
      Workload each = without(workload, gone);
      const auto rename = [&](std::vector<Operation>& operations) {
        for (Operation& operation : operations) {
          if (operation.thin == taken.thin) operation.thin = taken.origin;
          if (operation.origin == taken.thin) operation.origin = taken.origin;
        }
      };
      rename(each.setup);
      for (Actor& actor : each.actors)
        rename(actor.operations);
      for (Workload& candidate : with_pools(workload, std::move(each)))
        smaller.push_back(std::move(candidate));
    }
  }
  return smaller;
}

// The workload of these operations of actors, in the order that they have.
[[nodiscard]] std::vector<Workload> around(const Workload& workload, const Places& core) {
  Workload small = workload;
  for (std::size_t list = 0; list < workload.actors.size(); ++list) {
    small.actors[list].operations.clear();
    for (const Place place : core)
      if (place.list == list)
        small.actors[list].operations.push_back(workload.actors[list].operations[place.index]);
  }
  std::erase_if(small.actors, [](const Actor& each) { return each.operations.empty(); });
  const Blocks touched = touched_by_actors(small);
  std::erase_if(small.setup, [&](const Operation& each) {
    const Blocks blocks = blocks_of(each, workload.system.block_sectors);
    return std::none_of(blocks.begin(), blocks.end(),
                        [&](const auto& block) { return touched.contains(block); });
  });
  std::vector<Workload> candidates = with_pools(workload, small);
  if (workload.system.family == FamilyKind::cache) return candidates;
  Workload full = std::move(small);
  Workload only_setup = full;
  only_setup.actors.clear();
  full.system.data_blocks = full.system.data_device_blocks =
      std::max<std::uint64_t>(written(only_setup).size(), 1);
  if (!unusable(full)) candidates.push_back(std::move(full));
  return candidates;
}

}   // namespace

rc::Seq<Workload> cores(const Workload& workload) {
  Places all = places_of(workload);
  const std::size_t setup = workload.actors.size();
  std::erase_if(all, [&](const Place& place) { return place.list == setup; });
  std::vector<Places> kept;
  for (std::size_t i = 0; all.size() <= kFewOfActors && i < all.size(); ++i)
    kept.push_back({all[i]});
  for (std::size_t i = 0; all.size() <= kFewOfActors && i < all.size(); ++i)
    for (std::size_t j = i + 1; j < all.size(); ++j)
      kept.push_back({all[i], all[j]});
  return rc::seq::mapcat(rc::seq::fromContainer(std::move(kept)), [workload](const Places& core) {
    return rc::seq::fromContainer(around(workload, core));
  });
}

void lower_pool(SystemSpec& system, std::uint64_t blocks) noexcept {
  blocks = std::min(blocks, system.data_blocks - 1);
  system.data_blocks -= blocks;
  system.data_device_blocks = std::max(system.data_blocks, system.data_device_blocks - blocks);
}

rc::Seq<Workload> with_fewer_operations(const Workload& workload) {
  return rc::seq::concat(without_each(workload, {untouched(workload)}),
                         rc::seq::fromContainer(without_thins(workload)),
                         rc::seq::fromContainer(without_snaps(workload)),
                         without_each(workload, kinds(workload)),
                         without_each(workload, runs(workload)));
}

rc::Seq<Workload> without_pairs(const Workload& workload) {
  std::vector<Places> pairs;
  const Places all = places_of(workload);
  for (std::size_t i = 0; all.size() <= kFewForPairs && i < all.size(); ++i)
    for (std::size_t j = i + 1; j < all.size(); ++j)
      pairs.push_back({all[i], all[j]});
  return without_each(workload, std::move(pairs));
}

}   // namespace scenarios
