#include "sim/happens_before.h"

#include <algorithm>
#include <functional>
#include <string_view>

#include "sim/actor.h"
#include "sim/sim_fiber.h"

namespace sim {

using engine::OpKind;

namespace {
constexpr std::size_t kAnswersMax = 128;
}   // namespace

void HappensBefore::reset() {
  now_ = 0;
  fibers_.clear();
  objects_.clear();
  edges_.clear();
  queued_.clear();
  sent_.clear();
  answers_.clear();
  modified_ = waiting_ = looks_ = 0;
}

// --- what orders ---

void HappensBefore::event(const engine::Event& event, std::uint32_t by) {
  switch (event.op) {
    case OpKind::variable_write:
    case OpKind::timer_arm:
      gives(event.object->id, by);
      break;
    case OpKind::variable_read:
    case OpKind::timer_fire:
    case OpKind::rcu_synchronize:
      takes(event.object->id, by);
      break;
    case OpKind::completion_signal:
    case OpKind::rcu_read_unlock:
      adds(event.object->id, by);
      break;
    case OpKind::ref_put:
      adds(event.object->id, by);
      if (event.a == 0) takes(event.object->id, by);
      break;
    case OpKind::work_queue:
      queued_.push_back(
          {event.object->id, std::hash<std::string_view>{}(event.name), {by, tick()}});
      break;
    case OpKind::work_run:
      runs_work(event, by);
      break;
    case OpKind::thread_join: {
      // Whoever has signalled its end.
      const std::uint32_t end = object(event.object->id).last;
      if (end == kNone) break;
      fiber(edges_[end].from / 2).joined = true;
      break;
    }
    default:
      break;
  }
}

void HappensBefore::goes_on(OpKind op, std::uint32_t id, std::uint32_t by) {
  switch (op) {
    case OpKind::atomic_store:
      gives(id, by);
      break;
    case OpKind::atomic_rmw:
      takes(id, by);
      modified_ = id;
      before_ = object(id);
      gives(id, by);
      break;
    case OpKind::atomic_load:
    case OpKind::completion_wait:   // the signals that are missing come with the wake-up
      takes(id, by);
      break;
    case OpKind::condition_wait:
      ++waiting_;
      fiber(by).waits_for = id;
      break;
    default:
      break;
  }
}

void HappensBefore::unchanged(std::uint32_t object) noexcept {
  if (object == modified_ && object != 0) objects_[object] = before_;
  modified_ = 0;
}

void HappensBefore::spawns(std::uint32_t fiber, std::uint32_t by) {
  edge(of_fiber(fiber), of_fiber(by), tick());
}

void HappensBefore::wakes(const SimFiber& woken, std::uint32_t by) {
  const std::uint32_t id = woken.birth;
  if (woken.state != SimFiber::State::parked) {   // on its way to it
    if (fiber(id).waits_for != 0) edge(of_fiber(id), of_fiber(by), tick());
    return;
  }
  switch (woken.waiting.op) {
    case OpKind::mutex_lock:
    case OpKind::read_lock:
    case OpKind::write_lock:
    case OpKind::work_run:   // as far as it is for what was queued, that says so
      break;
    case OpKind::completion_wait:
      takes(woken.waiting.object->id, id);
      break;
    default:
      edge(of_fiber(id), of_fiber(by), tick());
      break;
  }
}

// Of those that bear one name it may be any.
void HappensBefore::runs_work(const engine::Event& event, std::uint32_t by) {
  const std::size_t work = std::hash<std::string_view>{}(event.name);
  const auto is_this = [&](const Queued& each) {
    return each.queue == event.object->id && each.work == work;
  };
  for (const Queued& each : queued_) {
    if (is_this(each) && each.by.fiber != by)
      edge(of_fiber(by), of_fiber(each.by.fiber), each.by.moment);
  }
  std::erase_if(queued_, is_this);
}

std::uint32_t HappensBefore::sent(std::uint32_t by) {
  sent_.push_back({by, tick()});
  return static_cast<std::uint32_t>(sent_.size());
}

void HappensBefore::received(std::uint32_t ticket, std::uint32_t by) {
  if (ticket == 0 || ticket > sent_.size()) return;   // nobody listened then
  const Step& step = sent_[ticket - 1];
  edge(of_fiber(by), of_fiber(step.fiber), step.moment);
}

void HappensBefore::end_wait(std::uint32_t by) {
  Fiber& woken = fiber(by);
  waiting_ -= woken.waits_for != 0 ? 1 : 0;
  woken.waits_for = 0;
}

void HappensBefore::note_monitor(std::uint32_t mutex, std::uint32_t by) {
  const std::uint32_t condition = fiber(by).waits_for;
  if (condition == 0) return;
  object(mutex).monitor = 1;
  object(condition).monitor = mutex;
}

// The mutex is that under which others wait. As long as nobody has, the one that is held, or was
// held to change what may be waited for.
void HappensBefore::notified(std::uint32_t condition, std::uint32_t mutex, std::uint32_t by) {
  if (object(condition).monitor != 0) return;
  if (mutex == 0) mutex = fiber(by).last_released;
  if (mutex != 0) object(mutex).monitor = 1;
}

void HappensBefore::adds(std::uint32_t id, std::uint32_t by) {
  Object& given = object(id);
  const Moment now = tick();
  // Nobody has had the last one yet, so what it said this one says as well.
  if (given.last != kNone && given.taker == kNone && edges_[given.last].from == of_fiber(by)) {
    edges_[given.last].at = edges_[given.last].moment = now;
  } else {
    edge(of_object(id), of_fiber(by), now);
  }
  given.giver = of_object(id);
  given.taker = kNone;
  given.moment = now_;
}

void HappensBefore::edge(Place to, Place from, Moment moment, std::uint32_t mutex) {
  std::uint32_t& last = (to & 1U) != 0 ? object(to / 2).last : fiber(to / 2).last;
  edges_.push_back({tick(), from, moment, mutex, last});
  last = static_cast<std::uint32_t>(edges_.size() - 1);
}

// --- questions ---

// Once it does it does so ever after: monitors' mutexes become more.
bool HappensBefore::comes_before(Step earlier, Step later, Trust trust) {
  if (trust == Trust::every_mutex) return finds(earlier, later, trust);
  const auto known = std::ranges::find_if(answers_, [&](const Answer& each) {
    return each.earlier.fiber == earlier.fiber && each.later.fiber == later.fiber;
  });
  if (known != answers_.end() && earlier.moment <= known->earlier.moment &&
      later.moment >= known->later.moment)
    return true;
  if (!finds(earlier, later, trust)) return false;
  if (known != answers_.end()) {
    *known = {earlier, later};
  } else if (answers_.size() < kAnswersMax) {
    answers_.push_back({earlier, later});
  }
  return true;
}

bool HappensBefore::finds(Step earlier, Step later, Trust trust) {
  if (earlier.moment > later.moment) return false;
  const Place wanted = of_fiber(earlier.fiber);
  ++looks_;
  left_.clear();
  look_from(of_fiber(later.fiber), later.moment);
  while (!left_.empty()) {
    const Left at = left_.back();
    left_.pop_back();
    const Place place = at.place;
    std::uint32_t i = (place & 1U) != 0 ? objects_[place / 2].last : fibers_[place / 2].last;
    // What was heard of before the earlier one cannot be of it.
    for (; i != kNone && edges_[i].at > std::max(at.since, earlier.moment); i = edges_[i].next) {
      const Edge& edge = edges_[i];
      if (edge.at > at.until || edge.moment < earlier.moment || !orders(edge, trust)) continue;
      if (edge.from == wanted) return true;
      look_from(edge.from, edge.moment);
    }
  }
  return false;
}

void HappensBefore::look_from(Place place, Moment until) {
  const auto note = [&](auto& seen) {
    if (seen.look != looks_) {
      seen.look = looks_;
      seen.seen = 0;
    }
    if (seen.seen >= until) return;
    left_.push_back({place, until, seen.seen});
    seen.seen = until;
  };
  if ((place & 1U) != 0) {
    note(object(place / 2));
  } else {
    note(fiber(place / 2));
  }
}

}   // namespace sim
