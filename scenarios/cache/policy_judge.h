// Judges the talk between a cache and its policy, from both sides.
//
// Of the cache: it asks about a block, moves or removes one, only while it holds the block's cell;
// it speaks of the dirtiness of what is there alone;
// once a policy has given up a victim, nobody asks about the victim before the demotion has been
// committed or rolled back, and until then its cell is held.
// Of the policy: what it answers agrees with what it answered before, a place has one block at
// most, a victim was there and its cell was taken; it takes its lock whenever it is called.
//
// Not covered: whether the answers are wise.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>

#include "checkers/findings.h"
#include "engine/cache/policy.h"
#include "scenarios/cache/cells.h"

namespace scenarios::cache {

class CachePolicyJudge {
 public:
  // `cells` outlives the judge.
  explicit CachePolicyJudge(const CacheCells& cells) : cells_{cells} {}

  // Each of these is told right after the policy did it, or, of what takes blocks out, right
  // before. `granted`: the victim whose cell the locker took.
  void mapped(const engine::cache::MapRequest& request, const engine::cache::Decision& decision,
              std::optional<engine::cache::OriginBlock> granted, checkers::Findings& findings);
  void loaded(const engine::cache::Mapping& mapping);
  void set_dirty(engine::cache::OriginBlock block, checkers::Findings& findings);
  void clear_dirty(engine::cache::OriginBlock block, checkers::Findings& findings);
  void removing(engine::cache::OriginBlock block, checkers::Findings& findings);
  void forcing(engine::cache::OriginBlock current, engine::cache::OriginBlock back,
               checkers::Findings& findings);
  void removed_cblock(engine::cache::CacheBlock place, engine::cache::OriginBlock expected,
                      checkers::Findings& findings);
  void writeback(const engine::cache::Mapping& mapping, checkers::Findings& findings);
  // A call of the policy has ended, when its lock had been taken so often before it. That somebody
  // else took it meanwhile is taken for the policy's doing: what never takes its lock is seen the
  // next time.
  void called(const char* what, std::uint64_t locks_before, checkers::Findings& findings) const;
  // A cell of the block was released.
  void released(engine::cache::OriginBlock block, checkers::Findings& findings);

  // As the policy must have it.
  [[nodiscard]] bool dirty(engine::cache::OriginBlock block) const {
    return dirty_.contains(block);
  }
  [[nodiscard]] const std::map<engine::cache::OriginBlock, engine::cache::CacheBlock>& mappings()
      const noexcept {
    return places_;
  }
  [[nodiscard]] std::uint32_t promotions() const noexcept { return promotions_; }
  [[nodiscard]] std::uint32_t replacements() const noexcept { return replacements_; }
  // Blocks that the cache took out: invalidated, or promoted in vain.
  [[nodiscard]] std::uint32_t removals() const noexcept { return removals_; }

 private:
  void must_hold(const char* doing, engine::cache::OriginBlock block,
                 checkers::Findings& findings) const;
  void must_be_there(engine::cache::OriginBlock block, checkers::Findings& findings) const;
  void forget(engine::cache::OriginBlock block);

  const CacheCells& cells_;
  std::map<engine::cache::OriginBlock, engine::cache::CacheBlock> places_;
  std::set<engine::cache::OriginBlock> dirty_;
  // Victims whose demotion has not been committed, and how many commits there had been.
  std::map<engine::cache::OriginBlock, std::uint64_t> leaving_;
  std::uint32_t promotions_ = 0;
  std::uint32_t replacements_ = 0;
  std::uint32_t removals_ = 0;
};

}   // namespace scenarios::cache
