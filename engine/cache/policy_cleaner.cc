#include "engine/cache/policy_cleaner.h"

namespace engine::cache {

using smq::EntryIndex;
using smq::kNoEntry;

CleanerPolicy::CleanerPolicy(const PolicyParams& params)
    : space_{params.cache_blocks},
      pool_{space_, 0, params.cache_blocks},
      table_{space_, params.cache_blocks} {}

Decision CleanerPolicy::map(const MapRequest& request, CellLocker& /*victims*/) {
  const SpinGuard guard{lock_};
  const EntryIndex index = table_.find(request.block);
  if (index == kNoEntry) return Miss{};
  return Hit{CacheBlock{index}};
}

smq::EntryList& CleanerPolicy::list_of(EntryIndex index) {
  return space_[index].dirty ? dirty_ : clean_;
}

void CleanerPolicy::add(EntryIndex index, OriginBlock block, bool dirty) {
  space_[index].block = block;
  space_[index].dirty = dirty;
  table_.insert(index);
  list_of(index).push_back(space_, index);
}

void CleanerPolicy::drop(EntryIndex index) {
  list_of(index).remove(space_, index);
  table_.remove(index);
  pool_.give(index);
}

void CleanerPolicy::mark(OriginBlock block, bool dirty) {
  const SpinGuard guard{lock_};
  const EntryIndex index = table_.find(block);
  if (index == kNoEntry || space_[index].dirty == dirty) return;
  list_of(index).remove(space_, index);
  space_[index].dirty = dirty;
  list_of(index).push_back(space_, index);
}

void CleanerPolicy::set_dirty(OriginBlock block) {
  mark(block, true);
}

void CleanerPolicy::clear_dirty(OriginBlock block) {
  mark(block, false);
}

Result<void> CleanerPolicy::load_mapping(const Mapping& mapping,
                                         std::optional<std::uint32_t> /*hint*/) {
  const SpinGuard guard{lock_};
  if (mapping.at.value() >= space_.size())
    return fail(Errc::invalid, mapping.at.value(), "cache block beyond the cache");
  if (table_.find(mapping.origin) != kNoEntry)
    return fail(Errc::exists, mapping.origin.value(), "origin block is cached twice");
  const EntryIndex index = pool_.take(mapping.at.value());
  if (index == kNoEntry)
    return fail(Errc::exists, mapping.at.value(), "cache block is in use already");
  add(index, mapping.origin, false);
  return {};
}

std::optional<OriginBlock> CleanerPolicy::standing_in(CacheBlock place) const {
  if (place.value() >= space_.size() || !space_[place.value()].allocated) return std::nullopt;
  return space_[place.value()].block;
}

std::optional<OriginBlock> CleanerPolicy::mapping_of(CacheBlock place) const {
  const SpinGuard guard{lock_};
  return standing_in(place);
}

std::optional<CacheBlock> CleanerPolicy::lookup(OriginBlock block) {
  const SpinGuard guard{lock_};
  const EntryIndex index = table_.find(block);
  if (index == kNoEntry) return std::nullopt;
  return CacheBlock{index};
}

void CleanerPolicy::remove_mapping(OriginBlock block) {
  const SpinGuard guard{lock_};
  const EntryIndex index = table_.find(block);
  ENGINE_CHECK(index != kNoEntry, "block {} is to leave the policy and is not there", block);
  drop(index);
}

void CleanerPolicy::force_mapping(OriginBlock current, OriginBlock back) {
  const SpinGuard guard{lock_};
  EntryIndex index = table_.find(current);
  ENGINE_CHECK(index != kNoEntry, "block {} is to be renamed and is not there", current);
  ENGINE_CHECK(table_.find(back) == kNoEntry, "block {} is to come back and is there", back);
  drop(index);
  index = pool_.take(index);
  add(index, back, true);
}

Result<void> CleanerPolicy::remove_cblock(CacheBlock place, OriginBlock expected) {
  const SpinGuard guard{lock_};
  if (standing_in(place) != expected)
    return fail(Errc::not_found, place.value(), "the block is not in that place");
  drop(place.value());
  return {};
}

std::optional<Mapping> CleanerPolicy::writeback_work(WritebackUrgency /*urgency*/) {
  const SpinGuard guard{lock_};
  const EntryIndex index = dirty_.head();
  if (index == kNoEntry) return std::nullopt;
  dirty_.remove(space_, index);
  space_[index].dirty = false;
  clean_.push_back(space_, index);
  return Mapping{space_[index].block, CacheBlock{index}};
}

std::uint32_t CleanerPolicy::residency() const {
  const SpinGuard guard{lock_};
  return pool_.allocated();
}

Result<void> CleanerPolicy::set_config(std::string_view /*key*/, std::uint64_t value) {
  return fail(Errc::invalid, value, "cleaner has no settings");
}

}   // namespace engine::cache
