// Guided by what reads saw: an execution in which a read saw a write for the first time, or whose
// pairs of reads and writes were not seen together before, is kept as a few wishes ("this read is
// to see that write"); later ones try such wishes changed a little, with the rest of the execution
// decided as in partial-order sampling (after D. Wolff, Z. Shi, G. J. Duck, U. Mathur,
// A. Roychoudhury, "Greybox Fuzzing for Concurrency Testing", ASPLOS 2024: abstract schedules,
// their mutation, and a scheduler that steers towards them).
//
// A wish is pressed by holding fibers back: who would read too early, who would overwrite before
// the read has come, who would write what the read is not to see. It is over when the read came,
// when nobody but those held back could go on, or when it has held back for too long, so a wish
// that cannot come true delays an execution and no more.
//
// What is learnt lasts from one execution to the next, so an execution is told by its seed and by
// those before it since the strategy was made. Learning is done in end() alone: a seed that is
// begun twice is one execution.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/leads.h"
#include "sim/reads_from.h"
#include "sim/rng.h"
#include "sim/sampling.h"
#include "sim/strategy.h"

namespace sim {

class Guided final : public Strategy {
 public:
  [[nodiscard]] bool keeps_learning() const override { return true; }
  void begin(std::uint64_t seed) override;
  [[nodiscard]] bool wants_every_point() const override { return true; }
  std::uint32_t pick(const Choices& choices) override;
  std::uint32_t value(const SimFiber& self, const char* what, std::uint32_t count,
                      std::uint32_t one_in) override;
  void started(SimFiber& fiber) override { priorities_.started(fiber); }
  void end(std::uint64_t points) override;

  // Another strategy decides: watch() in place of begin(), saw() of pick(), learn() of end(). What
  // was new; valid until the next execution is over.
  void watch();
  void saw(const Choices& choices, std::uint32_t pick);
  const ReadsFrom::Novelty& learn();

  [[nodiscard]] Contention& contention() noexcept { return contention_; }
  [[nodiscard]] const ReadsFrom& reads_from() const noexcept { return reads_from_; }
  [[nodiscard]] std::size_t kept() const noexcept { return kept_.size(); }

 private:
  static constexpr std::size_t kWishesMax = 6;
  static constexpr std::size_t kKeptMax = 128;

  using EventId = Contention::EventId;
  struct Wish {
    ReadsFrom::Pair pair;
    bool sees = true;   // else it is to see any other write
    friend bool operator==(const Wish&, const Wish&) noexcept = default;
  };
  struct Pressed {
    Wish wish;
    Contention::LabelId label = ObjectLabels::kNone;
    std::uint32_t patience = 0;   // picks for which it may still hold somebody back
    bool open = true;
    bool pressing = false;   // holds somebody back at this pick
  };
  // An execution worth changing.
  struct Kept {
    std::vector<Wish> wishes;
    std::uint32_t tries = 0;
  };

  [[nodiscard]] std::uint32_t pick_by_wishes(const Choices& choices);
  void choose_wishes();
  void put(Wish wish);
  void seek(ReadsFrom::Pair pair);
  [[nodiscard]] ReadsFrom::Pair draw_pair();
  [[nodiscard]] bool holds_back(const Pressed& pressed, EventId event, const engine::Point& point);
  // The first wish that holds back who is about to do that; null: none does.
  [[nodiscard]] Pressed* in_the_way(SimFiber& fiber, const engine::Point* point);
  void begin_watching();
  void happened(SimFiber& fiber, const engine::Point& point);
  void note_happening(SimFiber& fiber, const engine::Point& point);
  void keep(const ReadsFrom::Novelty& novelty);

  Rng rng_;
  Priorities priorities_{rng_};
  Contention contention_;
  ReadsFrom reads_from_{contention_};
  Leads leads_;
  bool nothing_known_ = true;
  std::uint32_t picks_ = 0;     // of this execution
  std::uint32_t length_ = 64;   // picks of an execution, about
  Rounds rounds_;
  std::vector<Kept> kept_;
  std::uint32_t oldest_ = 0;   // of kept_, the next to be replaced
  // Of this execution.
  static constexpr std::uint32_t kNone = ~0U;
  std::uint32_t base_ = kNone;   // of kept_
  std::vector<Wish> wishes_;
  std::vector<ReadsFrom::Pair> sought_;
  std::vector<Pressed> pressed_;
  std::uint32_t open_ = 0;
};

}   // namespace sim
