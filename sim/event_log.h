// What happened in an execution, kept in memory while tracing is on: of a long one the beginning,
// where things are made, and the end, where it is decided. Holds no pointer into the execution but
// string literals, so it outlives it; names of objects, which may go, are its own.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <source_location>
#include <string>
#include <string_view>

#include "engine/fiber/event.h"
#include "sim/actor.h"
#include "sim/first_and_last.h"
#include "sim/schedule.h"

namespace sim {

struct LoggedEvent {
  std::uint64_t point = 0;   // scheduling points so far
  std::int64_t time_ns = 0;
  ActorId actor;   // on whose fiber
  engine::OpKind op = engine::OpKind::note;
  engine::ObjectKind object_kind = engine::ObjectKind::none;
  std::uint32_t object_id = 0;
  const char* object_name = nullptr;   // may be null
  std::source_location where{};
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  std::uint64_t c = 0;
  const char* name = nullptr;   // may be null
};

// A decision that was more than letting the same fiber go on.
struct LoggedDecision {
  std::uint64_t point = 0;
  std::uint64_t events_before = 0;   // its place among the events, those left out counted
  std::int64_t time_ns = 0;
  ActorId from;
  std::uint32_t from_step = 0;
  ChoiceKind kind = ChoiceKind::run;
  ActorId to;   // run: who goes on; effect, complete, fire, step: whose
  std::uint32_t value = 0;
  const char* what = nullptr;   // value: the question; else the name of `to`
  bool put_aside = false;       // `from` stopped short of what it was about to do
  bool deviation = false;       // not what the rule says
  // What `from` was about to do, or why it stopped.
  engine::OpKind op = engine::OpKind::note;
  const char* object_name = nullptr;
  std::uint32_t object_id = 0;
  std::source_location where{};
};

struct LoggedFiber {
  ActorId id;
  ActorId parent;
  const char* name = nullptr;
  std::uint32_t earlier = 0;   // fibers of that name
};

struct EventLog {
  // An execution of the engine that ends has some thousands of each.
  static constexpr std::size_t kFirst = 4'000;
  static constexpr std::size_t kLast = 12'000;
  // Of one that does not end, which goes round: nobody reads more.
  static constexpr std::size_t kFirstOfEndless = 400;
  static constexpr std::size_t kLastOfEndless = 600;

  EventLog() = default;
  EventLog(EventLog&&) = default;   // a copy's names would be the original's
  EventLog& operator=(EventLog&&) = default;

  FirstAndLast<LoggedEvent> events{kFirst, kLast};
  FirstAndLast<LoggedDecision> decisions{kFirst, kLast};
  FirstAndLast<LoggedFiber> fibers{kFirst, kLast};
  std::map<std::string, std::uint32_t, std::less<>> fibers_named;   // how many
  std::set<std::string, std::less<>> names;
  // The log's own copy of a name, null for null. Stays across clear().
  const char* keep(const char* name) {
    if (name == nullptr) return nullptr;
    const auto found = names.find(std::string_view{name});
    return (found != names.end() ? found : names.emplace(name).first)->c_str();
  }
  void add_fiber(ActorId id, ActorId parent, const char* name) {
    const std::string_view called = name != nullptr ? name : "fiber";
    auto named = fibers_named.find(called);
    if (named == fibers_named.end()) named = fibers_named.emplace(called, 0).first;
    fibers.add({id, parent, name, named->second++});
  }
  // It has come to no end.
  void is_endless() {
    events.narrow(kFirstOfEndless, kLastOfEndless);
    decisions.narrow(kFirstOfEndless, kLastOfEndless);
  }
  void clear() {
    fibers_named.clear();
    events.clear();
    decisions.clear();
    fibers.clear();
  }
};

}   // namespace sim
