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

#include "sim/reads_from.h"
#include "sim/rng.h"
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
  void started(SimFiber& fiber) override;
  void end(std::uint64_t points) override;

  // Another strategy decides: watch() in place of begin(), saw() of pick(), learn() of end(). What
  // was new; valid until the next execution is over.
  void watch();
  void saw(const Choices& choices, std::uint32_t pick);
  const ReadsFrom::Novelty& learn();

  [[nodiscard]] const ReadsFrom& reads_from() const noexcept { return reads_from_; }
  [[nodiscard]] std::size_t kept() const noexcept { return kept_.size(); }

 private:
  static constexpr std::uint32_t kRareOneIn = 64;
  static constexpr std::size_t kWishesMax = 6;
  static constexpr std::size_t kKeptMax = 128;

  struct Wish {
    ReadsFrom::Pair pair;
    bool sees = true;   // else it is to see any other write
    friend bool operator==(const Wish&, const Wish&) noexcept = default;
  };
  struct Pressed {
    Wish wish;
    ReadsFrom::LabelId label = ObjectLabels::kNone;
    std::uint32_t patience = 0;   // times that it may still hold somebody back
    bool open = true;
  };
  // An execution worth changing.
  struct Kept {
    std::vector<Wish> wishes;
    std::uint32_t tries = 0;
  };

  void choose_wishes();
  void add_wish();
  void put(Wish wish);
  [[nodiscard]] Wish draw_wish();
  [[nodiscard]] bool holds_back(Pressed& pressed, const engine::Point& point);
  // The first wish that holds back who is about to do that; null: none does.
  [[nodiscard]] Pressed* in_the_way(const engine::Point* point);
  void note_happening(const SimFiber& fiber, const engine::Point& point);
  void keep(const ReadsFrom::Novelty& novelty);
  [[nodiscard]] std::uint64_t draw() noexcept { return (std::uint64_t{rng_.next()} << 1U) + 2; }

  Rng rng_;
  ReadsFrom reads_from_;
  std::vector<Kept> kept_;
  std::uint32_t oldest_ = 0;   // of kept_, the next to be replaced
  // Of this execution.
  static constexpr std::uint32_t kNone = ~0U;
  std::uint32_t base_ = kNone;   // of kept_
  std::vector<Wish> wishes_;
  std::vector<Pressed> pressed_;
  std::uint32_t open_ = 0;
};

}   // namespace sim
