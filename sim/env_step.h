// Something that the environment may do next, beside the fibers: an I/O takes effect or ends, a
// timer fires, the power goes.
#pragma once

#include <cstdint>

#include "engine/fiber/event.h"
#include "sim/actor.h"
#include "sim/schedule.h"

namespace sim {

class SimFiber;

class EnvStep {
 public:
  // A step that must happen sooner or later counts as progress to come; one that may happen, such
  // as a power cut, does not keep a deadlock from being reported.
  enum class Duty : bool { may_happen, must_happen };

  EnvStep(ChoiceKind choice_kind, ActorId actor, const char* step_name, Duty step_duty) noexcept
      : id{actor}, name{step_name}, kind{choice_kind}, duty{step_duty} {}
  EnvStep(const EnvStep&) = delete;
  EnvStep& operator=(const EnvStep&) = delete;

  // Happens, on whatever stack decides; must not suspend. The step has been withdrawn. Returns the
  // fiber that it started and that runs at once, or null.
  virtual SimFiber* happen() = 0;

  // What it has to do with other steps and with fibers, for strategies that reason about it.
  struct Touch {
    enum class What : std::uint8_t {
      nothing,
      everything,   // nothing is known: it commutes with nothing
      range,        // the contents of `device` at [begin, end): with other steps there
      object,       // `device` as a whole: with operations of fibers on it, too
      timers,       // with whatever arms, cancels or fires a timer
    };
    What what = What::everything;
    const engine::SyncObject* device = nullptr;
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    bool writes = true;
  };
  [[nodiscard]] virtual Touch touches() const noexcept { return {}; }
  [[nodiscard]] virtual Touch also_touches() const noexcept {
    return {.what = Touch::What::nothing};
  }

  ActorId id;
  const char* name;
  ChoiceKind kind;
  Duty duty;
  // --- For the execution. ---
  static constexpr std::uint32_t kNotOffered = ~0U;
  std::uint32_t index = kNotOffered;   // among the steps that may happen now
  bool waits = false;                  // to be offered when its time has come
  std::uint64_t age = 0;               // ordinal of the offer
  std::uint64_t priority = 0;          // the strategy's own

 protected:
  ~EnvStep() = default;
};

}   // namespace sim
