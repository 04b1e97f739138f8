#include "sim/deadlock.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "sim/execution.h"
#include "sim/wait_graph.h"
#include "sim/wait_words.h"

namespace sim {

using engine::OpKind;

namespace {

bool waits_for_lock(const SimFiber& fiber) {
  switch (fiber.waiting.op) {
    case OpKind::mutex_lock:
    case OpKind::read_lock:
    case OpKind::write_lock:
    case OpKind::spin_lock:
      return fiber.state != SimFiber::State::runnable;
    default:
      return false;
  }
}

void describe_circle(const WaitGraph& graph, Finding& finding) {
  const std::vector<const Wait*> knot = graph.knot();
  const Namer names{knot};
  for (std::size_t i = 0; i < graph.circle().size(); ++i)
    finding.message += (i == 0 ? "" : "; ") + words_of(*graph.circle()[i], names);
  for (const Wait* const wait : knot)
    add_edges(*wait, finding.circle);
}

// The lab's own, which whoever is stuck keeps others waiting for: which of them depends on what
// else goes on, so they do not tell one deadlock from another. In a program of somebody's own any
// name is the program's.
bool is_of_the_lab(const Execution& execution, std::string_view object) {
  const std::string_view lab = execution.options().lab;
  return !lab.empty() && object.starts_with(lab);
}

void describe_waits(const Execution& execution, const WaitGraph& graph, Finding& finding) {
  std::string& text = finding.detail;
  for (const SimFiber* const fiber : execution.live_fibers()) {
    text += describe(*fiber);
    if (fiber->state == SimFiber::State::runnable) {
      text += " can run\n";
      continue;
    }
    const engine::Point& waiting = fiber->waiting;
    const Wait* const wait = graph.of(*fiber);
    if (wait != nullptr && wait->what == Wait::For::end) {
      text += fmt::format(" waits for the end of {} at {}\n", describe(*wait->others.front()),
                          at(waiting.where));
      finding.add_stack(fiber->stands);
      continue;
    }
    text += fmt::format(" waits {}", verb(waiting.op));
    if (waiting.object != nullptr) text += " " + describe(*waiting.object);
    text += " at " + at(waiting.where);
    if (wait != nullptr) text += others_words(execution, *wait);
    text += '\n';
    if (!is_idle_worker(*fiber)) finding.add_stack(fiber->stands);
  }
}

// More are counted.
constexpr std::size_t kNamedMost = 4;

std::string object_of(const Wait& wait) {
  const engine::SyncObject* const object = wait.fiber->waiting.object;
  if (wait.what == Wait::For::end) return "end of " + std::string{wait.others.front()->name()};
  return object != nullptr ? name_of(*object) : "nothing named";
}

// "consumer waits", "a and b wait", "7 fibers wait".
std::string who_wait(const std::vector<const Wait*>& waits) {
  if (waits.size() > kNamedMost) return fmt::format("{} fibers wait", waits.size());
  const Namer names{waits};
  std::vector<std::string> all;
  for (const Wait* const wait : waits)
    all.push_back(names.of(*wait->fiber));
  return listed(all) + (all.size() == 1 ? " waits" : " wait");
}

// Nobody waits for any other in a circle: those whose waiting is nobody's fault that is known, and
// who waits for them.
void describe_stuck(const Execution& execution, const WaitGraph& graph, Finding& finding) {
  std::vector<const Wait*> roots;
  std::set<std::string> objects;   // that are waited for, but for the ends of threads
  for (const Wait& wait : graph.waits()) {
    if (wait.what == Wait::For::end) continue;
    if (wait.what == Wait::For::nobody) roots.push_back(&wait);
    objects.insert(object_of(wait));
  }
  if (roots.empty()) {
    finding.place = "worker not stopped";
    finding.message = "everything has ended but workers that nobody stopped";
    return;
  }
  std::set<std::string> telling = objects;
  std::erase_if(telling, [&](const std::string& each) { return is_of_the_lab(execution, each); });
  // Unless they are all that is waited for.
  finding.place = fmt::format("{}", fmt::join(telling.empty() ? objects : telling, ", "));
  std::set<std::string> wanted;
  bool wakes_missing = true;
  for (const Wait* const wait : roots) {
    const OpKind op = wait->fiber->waiting.op;
    wakes_missing &= op == OpKind::condition_wait || op == OpKind::completion_wait;
    wanted.insert(object_of(*wait));
  }
  finding.message = fmt::format("{}{} for ever for {}", wakes_missing ? "lost wake-up: " : "",
                                who_wait(roots), fmt::join(wanted, ", "));
  std::vector<const Wait*> behind;
  for (const Wait& wait : graph.waits()) {
    if (wait.what != Wait::For::end && wait.what != Wait::For::nobody) behind.push_back(&wait);
  }
  if (behind.size() > kNamedMost) {
    finding.message += fmt::format("; {} fibers wait for what these hold", behind.size());
    return;
  }
  const Namer names{behind};
  for (const Wait* const wait : behind)
    finding.message += "; " + words_of(*wait, names);
}

}   // namespace

Finding describe_deadlock(const Execution& execution) {
  Finding finding;
  finding.kind = FindingKind::deadlock;
  // Where there is a lab, what nobody sees to is mostly an I/O.
  const WaitGraph graph{execution, execution.options().lab.empty() ? WaitGraph::Guess::who_is_left
                                                                   : WaitGraph::Guess::no};
  if (graph.circle().empty()) {
    describe_stuck(execution, graph, finding);
  } else {
    std::set<std::string> objects;
    for (const Wait* const wait : graph.circle())
      objects.insert(object_of(*wait));
    finding.place = fmt::format("{}", fmt::join(objects, ", "));
    describe_circle(graph, finding);
  }
  describe_waits(execution, graph, finding);
  return finding;
}

Finding describe_endless(const Execution& execution) {
  Finding finding;
  finding.kind = FindingKind::endless;
  std::set<std::string> going;
  std::set<std::string> starved;
  std::set<std::string> locks;
  std::size_t goers = 0;
  for (const SimFiber* const fiber : execution.live_fibers()) {
    if (waits_for_lock(*fiber)) {
      starved.emplace(fiber->name());
      locks.emplace(name_of(*fiber->waiting.object));
    } else if (fiber->state == SimFiber::State::runnable) {
      going.emplace(fiber->name());
      ++goers;
    }
  }
  finding.message = fmt::format("no end after {} scheduling points", execution.points());
  const std::string all = fmt::format("{}", fmt::join(going, ", "));
  if (!starved.empty() && !going.empty()) {
    finding.message += fmt::format("; starved: {}, for {}, while {} on", fmt::join(starved, ", "),
                                   fmt::join(locks, ", "), all + (goers == 1 ? " goes" : " go"));
  } else if (goers > 1) {
    finding.message += fmt::format("; livelock: {} go on, and none gets anywhere", all);
  } else if (goers == 1) {
    finding.message += fmt::format("; {} goes on by itself", all);
  }
  describe_waits(execution, WaitGraph{execution}, finding);
  return finding;
}

}   // namespace sim
