// Who has to do something before each fiber of an execution can go on, as far as that is known.
//
// A wait is for all of those it names: a writer for every reader. So fibers of which each waits for
// the next, among others, all the way round, wait for ever. For a unit of a semaphore any of them
// would do: there the circle says something only where nobody at all can go on.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/sim_fiber.h"

namespace sim {

class Execution;

struct Wait {
  enum class For : std::uint8_t {
    holder,    // of a mutex or spin lock
    writer,    // who has the read-write lock
    readers,   // all who have it to read
    units,     // all who have some of a semaphore that nobody but they give back
    turn,      // a writer that queues for it: readers come after that
    end,       // of a thread
    wake_up,   // nobody but they could give it; only where no other circle explains all
    nobody,    // it is not known whose doing it needs
  };
  const SimFiber* fiber = nullptr;
  For what = For::nobody;
  std::vector<const SimFiber*> others;   // by age; empty for `nobody`
};

class WaitGraph {
 public:
  // `guess`: of what is waited for without a holder, a condition or a completion, it is said who is
  // left to see to it, where all of those wait for the very fiber that waits for it.
  enum class Guess : bool { no, who_is_left };
  explicit WaitGraph(const Execution& execution, Guess guess = Guess::no);

  // Of all fibers that wait, by their age; not of idle workers, which are no part of any trouble.
  [[nodiscard]] const std::vector<Wait>& waits() const noexcept { return waits_; }
  [[nodiscard]] const Wait* of(const SimFiber& fiber) const noexcept;   // null: it does not wait
  // Each waits for the next, the last for the first, perhaps among others. Empty: there are none.
  [[nodiscard]] const std::vector<const Wait*>& circle() const noexcept { return circle_; }
  // The same, and behind that who else these wait for, and those, where they wait as well.
  [[nodiscard]] std::vector<const Wait*> knot() const;

 private:
  void find_circle();
  // Whether `from` cannot go on before `to` does something.
  [[nodiscard]] bool is_behind(const Wait& from, const SimFiber& to) const;
  void guess_who_is_left();

  std::vector<Wait> waits_;
  std::vector<const Wait*> circle_;
};

// Where a worker waits when it has nothing to do.
[[nodiscard]] inline bool is_idle_worker(const SimFiber& fiber) noexcept {
  return fiber.state != SimFiber::State::runnable && fiber.waiting.op == engine::OpKind::work_run;
}

}   // namespace sim
