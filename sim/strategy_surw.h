// Uniform random walks over interleavings. URW goes on with a fiber as often as it has work left,
// so that interleavings of independent fibers come out evenly. SURW does that only for the
// operations on one object, another in each execution, and walks at random in between (H. Zhao et
// al., "Selectively Uniform Concurrency Testing", ASPLOS 2025).
//
// What SURW selects: an object that several fibers touch and one changes, by its label
// (object_labels.h), so that objects made on the way are told by their name. Not what one lock
// protects whenever it is touched: its order is that of the lock's holders. Nor does giving a lock
// back count as touching it, as nobody could come in between.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "sim/held_locks.h"
#include "sim/object_labels.h"
#include "sim/rng.h"
#include "sim/strategy.h"
#include "sim/thread_paths.h"

namespace sim {

// Learns how much work each fiber has from the first execution after forget(), which is a random
// walk. For URW that is all, so that a seed means one execution. SURW takes account of later ones,
// too: a fiber that had nothing to do with an object in the walk may have, where somebody else came
// first, and would never be intended otherwise.
class Surw final : public Strategy {
 public:
  enum class Selection : bool { everything, one_object };   // URW, SURW
  explicit Surw(Selection selection = Selection::one_object) noexcept : selection_{selection} {}

  // Another program: what was learnt means nothing there.
  void forget() override;
  [[nodiscard]] bool will_learn() const override { return !learnt_; }
  [[nodiscard]] bool keeps_learning() const override { return selection_ == Selection::one_object; }
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

  // Operations of each fiber.
  struct Work {
    std::uint32_t all = 0;             // in the first execution
    std::vector<std::uint32_t> most;   // by label, in any execution
    std::vector<std::uint32_t> now;    // by label, in this one
  };
  struct Object {
    CommonLocks locks;   // by label
    bool changed = false;
  };

  void learn(Id id, const SimFiber& fiber, const engine::Point& point);
  void note_shared_objects();
  void share_out_work();
  [[nodiscard]] std::uint32_t work_on_target(Id id) const noexcept;
  [[nodiscard]] bool selected(const engine::Point* point);
  // Index of a fiber, with odds by the work it has left; of those at a selected point only, if
  // `only_selected`. Some fiber must do.
  [[nodiscard]] std::uint32_t draw(const Choices& choices, bool only_selected);
  [[nodiscard]] Id draw_intended(const Choices& choices);
  std::uint32_t happens(const Choices& choices, std::uint32_t pick);

  Selection selection_;
  Rng rng_;
  ThreadPaths paths_;
  std::vector<Work> work_;   // by fiber
  ObjectLabels labels_;
  HeldLocks held_;
  std::vector<std::uint32_t> held_labels_;   // kept for its memory
  std::vector<Object> objects_;              // by label
  std::vector<std::uint32_t> shared_;        // labels of those that may be selected
  std::vector<std::uint64_t> weight_;        // left, with that of fibers it has yet to start
  std::vector<std::uint64_t> subtree_;       // at the beginning, with all descendants
  std::uint32_t target_ = 0;
  Id running_ = ThreadPaths::kRoot;
  Id intended_ = kNobody;
  bool learning_ = true;
  bool learnt_ = false;
  std::vector<std::uint32_t> candidates_;
};

}   // namespace sim
