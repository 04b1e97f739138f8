// Uniform random walks over interleavings. URW goes on with a fiber as often as it has work left,
// so that interleavings of independent fibers come out evenly. SURW does that only for the
// operations on one object, another in each execution, and walks at random in between (H. Zhao et
// al., "Selectively Uniform Concurrency Testing", ASPLOS 2025).
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "sim/rng.h"
#include "sim/strategy.h"
#include "sim/thread_paths.h"

namespace sim {

// Learns how much work each fiber has from the first execution after forget(), which is a random
// walk; from then on nothing more is learnt, so that a seed means one execution.
class Surw final : public Strategy {
 public:
  enum class Selection : bool { everything, one_object };   // URW, SURW
  explicit Surw(Selection selection = Selection::one_object) noexcept : selection_{selection} {}

  // Another program: what was learnt means nothing there.
  void forget() override;
  [[nodiscard]] bool will_learn() const override { return !learnt_; }
  void begin(std::uint64_t seed) override;
  [[nodiscard]] bool wants_every_point() const override { return true; }
  std::uint32_t pick(const Choices& choices) override;
  std::uint32_t value(const SimFiber& self, const char* what, std::uint32_t count,
                      std::uint32_t one_in) override;
  void started(SimFiber& fiber) override;
  void end(std::uint64_t points) override;

 private:
  using Id = ThreadPaths::Id;
  static constexpr std::uint32_t kRareOneIn = 64;
  static constexpr Id kNobody = ~0U;

  // Operations of each fiber: all, and by the ordinal of the object.
  struct Work {
    std::uint32_t all = 0;
    std::vector<std::uint32_t> reads;
    std::vector<std::uint32_t> writes;
  };

  void learn(Id id, const engine::Point& point);
  void note_shared_objects();
  void share_out_work();
  [[nodiscard]] std::uint32_t work_on_target(Id id) const noexcept;
  [[nodiscard]] bool selected(const engine::Point* point) const noexcept;
  // Index of a fiber, with odds by the work it has left; of those at a selected point only, if
  // `only_selected`. Some fiber must do.
  [[nodiscard]] std::uint32_t draw(const Choices& choices, bool only_selected);
  [[nodiscard]] Id draw_intended(const Choices& choices);
  std::uint32_t happens(const Choices& choices, std::uint32_t pick);

  Selection selection_;
  Rng rng_;
  ThreadPaths paths_;
  std::vector<Work> work_;               // by fiber
  std::vector<std::uint32_t> shared_;    // objects that several fibers touch and one changes
  std::vector<std::uint64_t> weight_;    // left, with that of fibers it has yet to start
  std::vector<std::uint64_t> subtree_;   // at the beginning, with all descendants
  std::uint32_t target_ = 0;
  Id running_ = ThreadPaths::kRoot;
  Id intended_ = kNobody;
  bool learning_ = true;
  bool learnt_ = false;
  std::vector<std::uint32_t> candidates_;
};

}   // namespace sim
