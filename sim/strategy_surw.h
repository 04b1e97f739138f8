// Uniform random walks over interleavings: a fiber goes on as often as it has operations left, so
// that interleavings come out evenly. SURW does that for the operations on a few objects, others in
// each execution, and walks at random in between; URW for those on all (H. Zhao et al.,
// "Selectively Uniform Concurrency Testing", ASPLOS 2025).
//
// What may be selected: objects that fibers contend for (contention.h), by their labels, so that
// objects made on the way are told by their name; of what is done to them the operations that
// others contend with. In most executions kinds of fibers are drawn by the work that one of each
// has left, and then one of the kind: in a crowd it matters who of another kind comes in, and when,
// not which of the crowd is where (fiber_kinds.h).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "sim/contention.h"
#include "sim/rng.h"
#include "sim/sampling.h"
#include "sim/strategy.h"
#include "sim/thread_paths.h"

namespace sim {

// Learns how much work each fiber has from all executions since forget(), the first of which is one
// of rounds (sampling.h): a fiber that had nothing to do with an object so far may have, where
// somebody else came first, and would never be intended otherwise.
class Surw final : public Strategy {
 public:
  enum class Selection : bool { everything, few_objects };   // URW, SURW
  // `contention`: what somebody else learns of the program; null: it learns itself.
  explicit Surw(Selection selection, Contention* contention = nullptr)
      : selection_{selection},
        own_contention_{contention == nullptr ? std::make_unique<Contention>() : nullptr},
        contention_{contention != nullptr ? *contention : *own_contention_} {}

  // Another program: what was learnt means nothing there.
  void forget() override;
  [[nodiscard]] bool will_learn() const override { return !knows_; }
  [[nodiscard]] bool keeps_learning() const override { return true; }
  void begin(std::uint64_t seed) override;
  [[nodiscard]] bool wants_every_point() const override { return true; }
  std::uint32_t pick(const Choices& choices) override;
  std::uint32_t value(const SimFiber& self, const char* what, std::uint32_t count,
                      std::uint32_t one_in) override;
  void started(SimFiber& fiber) override;
  void end(std::uint64_t points) override;

 private:
  using Id = ThreadPaths::Id;
  using Label = Contention::LabelId;
  static constexpr std::uint32_t kRareOneIn = 64;
  static constexpr Id kNobody = ~0U;

  // How often a fiber did what.
  struct Work {
    Id fiber = 0;
    Contention::EventId event = Contention::kUnknown;
    std::uint32_t most = 0;   // in any execution
    std::uint32_t now = 0;    // in the one below
    std::uint32_t execution = 0;
  };

  void learn(Id id, Contention::EventId event);
  [[nodiscard]] Work& work_of(Id id, Contention::EventId event);
  [[nodiscard]] std::uint32_t& place_of(Id id, Contention::EventId event);
  void select();
  void share_out_work();
  [[nodiscard]] bool selected(const Choices& choices, std::uint32_t index);
  [[nodiscard]] std::uint64_t weight(const Choices& choices, std::uint32_t index);
  // Index of one of `candidates_`, by the work they have left; choices.size(): none has any.
  [[nodiscard]] std::uint32_t draw(const Choices& choices);
  [[nodiscard]] Id draw_intended(const Choices& choices);
  [[nodiscard]] std::uint32_t among_candidates() noexcept;
  std::uint32_t happens(const Choices& choices, std::uint32_t pick);

  Selection selection_;
  Rng rng_;
  ThreadPaths paths_;
  std::unique_ptr<Contention> own_contention_;   // null: somebody else learns it
  Contention& contention_;
  Rounds rounds_;
  bool by_kind_ = false;
  bool skips_ = false;   // what others do not contend for
  std::uint32_t execution_ = 0;
  std::vector<Work> work_;
  std::vector<std::uint32_t> work_index_;   // of work_, from 1: open addressing; 0: free
  std::vector<bool> is_target_;             // by label
  std::vector<std::uint64_t> weight_;       // left, with that of fibers it has yet to start
  std::vector<std::uint64_t> subtree_;      // at the beginning, with all descendants
  Id running_ = ThreadPaths::kRoot;
  Id intended_ = kNobody;
  std::uint32_t waited_ = 0;   // picks in a row at which somebody was held back for it
  std::uint32_t patience_ = 0;
  bool knows_ = own_contention_ == nullptr;
  std::vector<std::uint32_t> candidates_;
  std::vector<std::uint64_t> most_of_kind_;   // kept for its memory
};

}   // namespace sim
