#include "scenarios/cache/policy_judge.h"

#include <algorithm>

namespace scenarios::cache {

using engine::cache::CacheBlock;
using engine::cache::Decision;
using engine::cache::Hit;
using engine::cache::Mapping;
using engine::cache::MapRequest;
using engine::cache::Migrate;
using engine::cache::New;
using engine::cache::OriginBlock;
using engine::cache::Replace;
using engine::cache::Wait;
using engine::cache::WouldBlock;

namespace {
constexpr const char* kPolicyChecker = "cache_policy";
}   // namespace

void CachePolicyJudge::must_hold(const char* doing, OriginBlock block,
                                 checkers::Findings& findings) const {
  if (!cells_.held(block))
    findings.add(kPolicyChecker, "a cell is not held", "{} block {}, whose cell nobody holds",
                 doing, block);
}

void CachePolicyJudge::forget(OriginBlock block) {
  places_.erase(block);
  dirty_.erase(block);
}

void CachePolicyJudge::mapped(const MapRequest& request, const Decision& decision,
                              std::optional<OriginBlock> granted, checkers::Findings& findings) {
  const auto wrong = [&](const char* what) {
    findings.add(kPolicyChecker, "a policy breaks its contract", "asked about block {}: {}",
                 request.block, what);
  };
  must_hold("the policy is asked about", request.block, findings);
  if (leaving_.contains(request.block)) {
    findings.add(kPolicyChecker, "a victim is asked about",
                 "the policy gave block {} up for another, and is asked about it before that has "
                 "been committed or rolled back",
                 request.block);
  }
  const auto known = places_.find(request.block);
  const auto* const replace = std::get_if<Replace>(&decision);
  if (granted && (replace == nullptr || replace->victim != *granted))
    wrong("it took a cell for the core and did not replace that block");
  if (const auto* hit = std::get_if<Hit>(&decision)) {
    if (known == places_.end() || known->second != hit->at) wrong("a hit on what is not there");
    return;
  }
  if (std::holds_alternative<WouldBlock>(decision)) {
    if (request.wait == Wait::allowed && request.migrate == Migrate::allowed)
      wrong("it may wait and migrate, and would block");
    return;
  }
  if (known != places_.end()) wrong("no hit on what is there");
  const auto* const fresh = std::get_if<New>(&decision);
  if (fresh == nullptr && replace == nullptr) return;
  if (request.migrate == Migrate::never) wrong("it migrates and may not");
  ++promotions_;
  const CacheBlock at = fresh != nullptr ? fresh->at : replace->at;
  if (replace != nullptr) {
    ++replacements_;
    const auto victim = places_.find(replace->victim);
    if (victim == places_.end() || victim->second != at) wrong("the victim is not there");
    if (granted != replace->victim) wrong("the victim's cell was not taken");
    must_hold("the policy gives up", replace->victim, findings);
    forget(replace->victim);
    leaving_[replace->victim] = cells_.commits();
  } else if (std::any_of(places_.begin(), places_.end(),
                         [&](const auto& each) { return each.second == at; })) {
    wrong("the place is not free");
  }
  places_[request.block] = at;
}

void CachePolicyJudge::loaded(const Mapping& mapping) {
  places_[mapping.origin] = mapping.at;
}

void CachePolicyJudge::must_be_there(OriginBlock block, checkers::Findings& findings) const {
  if (places_.contains(block)) return;
  findings.add(kPolicyChecker, "the policy is told of what it does not have",
               "of block {}, that it is dirty or clean", block);
}

void CachePolicyJudge::set_dirty(OriginBlock block, checkers::Findings& findings) {
  must_be_there(block, findings);
  if (places_.contains(block)) dirty_.insert(block);
}

void CachePolicyJudge::clear_dirty(OriginBlock block, checkers::Findings& findings) {
  must_be_there(block, findings);
  dirty_.erase(block);
}

void CachePolicyJudge::removing(OriginBlock block, checkers::Findings& findings) {
  must_hold("the cache takes out", block, findings);
  forget(block);
  ++removals_;
}

void CachePolicyJudge::forcing(OriginBlock current, OriginBlock back,
                               checkers::Findings& findings) {
  must_hold("the cache undoes the promotion of", current, findings);
  must_hold("the cache undoes the demotion of", back, findings);
  leaving_.erase(back);
  const auto found = places_.find(current);
  if (found == places_.end()) return;
  places_[back] = found->second;
  forget(current);
  dirty_.insert(back);
}

void CachePolicyJudge::removed_cblock(CacheBlock place, OriginBlock expected,
                                      checkers::Findings& findings) {
  must_hold("the cache empties the place of", expected, findings);
  const auto found = places_.find(expected);
  if (found == places_.end() || found->second != place) {
    findings.add(kPolicyChecker, "a policy breaks its contract", "block {} was not in place {}",
                 expected, place);
  }
  forget(expected);
}

void CachePolicyJudge::writeback(const Mapping& mapping, checkers::Findings& findings) {
  const auto found = places_.find(mapping.origin);
  if (found == places_.end() || found->second != mapping.at || dirty_.erase(mapping.origin) == 0) {
    findings.add(kPolicyChecker, "a policy breaks its contract",
                 "block {} is to be written back, and is not a dirty one of place {}",
                 mapping.origin, mapping.at);
  }
}

void CachePolicyJudge::called(const char* what, std::uint64_t locks_before,
                              checkers::Findings& findings) const {
  if (cells_.policy_locks() == locks_before)
    findings.add(kPolicyChecker, "a policy is used without its lock", "{} while nobody held it",
                 what);
}

void CachePolicyJudge::released(OriginBlock block, checkers::Findings& findings) {
  const auto found = leaving_.find(block);
  if (found == leaving_.end()) return;
  if (cells_.commits() == found->second) {
    findings.add(kPolicyChecker, "a victim's cell is released too early",
                 "block {} has been given up for another, and neither was that committed nor "
                 "rolled back",
                 block);
  }
  leaving_.erase(found);
}

}   // namespace scenarios::cache
