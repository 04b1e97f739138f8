// The values a sector may hold, under concurrent writes, failures, discards and power cuts.
//
// Time is the oracle's own count of beginnings and ends. A *candidate* is a value somebody wrote or
// may have written, with the interval from its begin to its end. A candidate is superseded when a
// later write, one that began after the candidate had ended, has ended well; it is superseded for
// good when such a write is also durable. A read may return any candidate that was not superseded
// when the read began; after a power cut, any that was not superseded for good.
//
// Sectors that saw the same have equal histories and share one (sector_runs.h).
//
// Not covered: the order between different sectors, and atomicity of a write of several sectors
// (none is promised). Two writes under way at once may leave either value.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "checkers/stamp.h"

namespace checkers {

using Moment = std::uint64_t;
inline constexpr Moment kNever = std::numeric_limits<Moment>::max();

class SectorHistory {
 public:
  struct Candidate {
    Value value = Value::zeroes;
    Moment begun = 0;
    Moment ended = 0;                // kNever while under way
    Moment superseded = kNever;      // a read that begins later may not see it
    Moment gone_for_good = kNever;   // since when no power cut brings it back, either
    bool certain = true;             // ended well; only such a write supersedes others
    bool durable = true;
    friend bool operator==(const Candidate&, const Candidate&) = default;
  };

  SectorHistory() { candidates_.push_back(Candidate{}); }
  // Never written; what is below shows.
  static SectorHistory holding(Value value) {
    SectorHistory history;
    history.candidates_.front().value = value;
    return history;
  }
  // Never written, and not promised to read as zeroes.
  static SectorHistory unknown() { return holding(Value::anything); }

  void begin(Value value, Moment now);
  // As begin(), of something that no read may return unless the power was cut meanwhile or later.
  void begin_hidden(Value value, Moment now);
  // `certain`: it is known to have happened (an acknowledged write). Otherwise the old value may
  // also have stayed (a failed write; a discard, which is advice).
  void end(Value value, Moment begun, Moment now, bool certain, bool durable, Moment oldest_reader);
  // All that began after `since` and ended before `flush_begun` is durable now.
  void flushed(Moment flush_begun, Moment now, Moment since = 0);

  [[nodiscard]] bool permits(Value seen, Moment read_begun) const noexcept;
  // Where the past may come back: what counts is what was gone for good when the read began.
  [[nodiscard]] bool permits_rolled_back(Value seen, Moment read_begun) const noexcept;
  // A read that no change overlapped returned `seen`: from now on it is the value.
  // With `anything_stays`, anything remains possible beside it: it may have been what showed.
  void settle(Value seen, Moment read_begun, bool anything_stays = false);
  // Whether settle() would change nothing.
  [[nodiscard]] bool settled(Value seen, Moment read_begun,
                             bool anything_stays = false) const noexcept;
  // The power went and came back at `now`. What somebody since `oldest_reader` may have caught
  // stays for snapshot() alone.
  void power_cut(Moment now, Moment oldest_reader);
  // What a snapshot taken between `begun` and `now` may hold.
  [[nodiscard]] SectorHistory snapshot(Moment begun, Moment now) const;

  [[nodiscard]] bool quiet(Moment since) const noexcept;
  [[nodiscard]] std::span<const Candidate> candidates() const noexcept { return candidates_; }
  friend bool operator==(const SectorHistory&, const SectorHistory&) = default;

 private:
  // Whether `candidate` was still possible when a read began that returned `seen` alone.
  [[nodiscard]] static bool ruled_out(const Candidate& candidate, Value seen, Moment read_begun,
                                      bool anything_stays) noexcept;
  void supersede(const Candidate& by, Moment now);
  void prune(Moment oldest_reader);
  std::vector<Candidate> candidates_;
};

}   // namespace checkers
