#include "checkers/sector_history.h"

#include <algorithm>

namespace checkers {

void SectorHistory::begin(Value value, Moment now) {
  candidates_.push_back(
      Candidate{.value = value, .begun = now, .ended = kNever, .certain = false, .durable = false});
}

void SectorHistory::begin_hidden(Value value, Moment now) {
  begin(value, now);
  candidates_.back().superseded = 0;
}

void SectorHistory::end(Value value, Moment begun, Moment now, bool certain, bool durable,
                        Moment oldest_reader) {
  for (Candidate& candidate : candidates_) {
    if (candidate.value != value || candidate.begun != begun || candidate.ended != kNever) continue;
    candidate.ended = now;
    candidate.certain = certain;
    candidate.durable = durable && certain;
    const Candidate by = candidate;
    if (certain) supersede(by, now);
    break;
  }
  prune(oldest_reader);
}

void SectorHistory::supersede(const Candidate& by, Moment now) {
  for (Candidate& other : candidates_) {
    if (other.ended == kNever || other.ended >= by.begun) continue;
    other.superseded = std::min(other.superseded, now);
    if (by.durable) other.gone_for_good = std::min(other.gone_for_good, now);
  }
}

void SectorHistory::flushed(Moment flush_begun, Moment now, Moment since) {
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    Candidate& candidate = candidates_[i];
    if (!candidate.certain || candidate.durable || candidate.ended >= flush_begun) continue;
    if (candidate.begun < since) continue;
    candidate.durable = true;
    const Candidate by = candidate;
    for (Candidate& other : candidates_) {
      if (other.ended != kNever && other.ended < by.begun)
        other.gone_for_good = std::min(other.gone_for_good, now);
    }
  }
}

// A candidate that is gone for reads and for power cuts is forgotten, once no read that may still
// return it is under way.
void SectorHistory::prune(Moment oldest_reader) {
  std::erase_if(candidates_, [&](const Candidate& candidate) {
    return std::max(candidate.gone_for_good, candidate.superseded) <= oldest_reader;
  });
}

bool SectorHistory::permits(Value seen, Moment read_begun) const noexcept {
  return std::any_of(candidates_.begin(), candidates_.end(), [&](const Candidate& candidate) {
    return (candidate.value == seen || candidate.value == Value::anything) &&
           candidate.superseded > read_begun;
  });
}

bool SectorHistory::permits_rolled_back(Value seen, Moment read_begun) const noexcept {
  return std::any_of(candidates_.begin(), candidates_.end(), [&](const Candidate& candidate) {
    return (candidate.value == seen || candidate.value == Value::anything) &&
           candidate.gone_for_good > read_begun;
  });
}

bool SectorHistory::quiet(Moment since) const noexcept {
  return std::none_of(candidates_.begin(), candidates_.end(), [&](const Candidate& candidate) {
    return candidate.ended == kNever || candidate.ended >= since;
  });
}

bool SectorHistory::settled(Value seen, Moment read_begun, bool anything_stays) const noexcept {
  if (!quiet(read_begun)) return true;
  bool known = false;
  bool others = false;
  for (const Candidate& candidate : candidates_) {
    if (candidate.value == seen && candidate.superseded > read_begun) known = true;
    if (ruled_out(candidate, seen, read_begun, anything_stays)) others = true;
  }
  // Unknown contents stay unknown: what an unmapped block reads as may change when it is mapped.
  return !known || !others;
}

bool SectorHistory::ruled_out(const Candidate& candidate, Value seen, Moment read_begun,
                              bool anything_stays) noexcept {
  if (anything_stays && candidate.value == Value::anything) return false;
  return candidate.value != seen && candidate.superseded > read_begun;
}

void SectorHistory::settle(Value seen, Moment read_begun, bool anything_stays) {
  if (settled(seen, read_begun, anything_stays)) return;
  for (Candidate& candidate : candidates_) {
    if (ruled_out(candidate, seen, read_begun, anything_stays)) candidate.superseded = read_begun;
  }
}

void SectorHistory::power_cut(Moment now, Moment oldest_reader) {
  prune(oldest_reader);
  for (Candidate& candidate : candidates_) {
    candidate.ended = std::min(candidate.ended, now);
    // It may be there or not, and a later flush does not bring it back.
    if (!candidate.durable) candidate.certain = false;
    candidate.superseded =
        candidate.gone_for_good != kNever ? std::min(candidate.superseded, now) : kNever;
  }
}

SectorHistory SectorHistory::snapshot(Moment begun, Moment now) const {
  SectorHistory copy;
  copy.candidates_.clear();
  for (const Candidate& candidate : candidates_) {
    // Superseded before the snapshot began: it may come back only after a power cut, if at all.
    const bool gone = candidate.superseded <= begun;
    if (gone && candidate.gone_for_good != kNever) continue;
    Candidate mine = candidate;
    if (!gone) {
      mine.superseded = kNever;
      mine.gone_for_good = kNever;
    }
    if (mine.ended == kNever) mine.ended = now;   // under way on the origin, but over for us
    // Caught or not: then no flush of the snapshot makes it what is there.
    if (mine.ended >= begun) mine.certain = false;
    copy.candidates_.push_back(mine);
  }
  return copy;
}

}   // namespace checkers
