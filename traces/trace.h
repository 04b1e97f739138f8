// A recorded run, of either world: what was run, what was decided, what happened, what was found.
//
// Holds values only, no pointer into the program that made it. The file form (writer.h, reader.h)
// carries the workload and the decisions, so a trace replays by itself; the events are there to be
// read, drawn and compared, and may be missing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace traces {

struct Fiber {
  std::uint32_t id = 0;
  std::uint32_t parent = 0;
  std::string name;   // "worker", "a", "io data#12"
  friend bool operator==(const Fiber&, const Fiber&) = default;
};

// The op of what stands for a stretch of a long run: `a` events and `b` decisions are left out
// there. It replays all the same, as the schedule has them all.
inline constexpr std::string_view kLeftOut = "left_out";

struct Event {
  std::uint64_t point = 0;   // scheduling points so far
  std::int64_t time_ns = 0;
  std::uint32_t fiber = 0;
  std::string op{};       // engine::OpKind by name: "mutex_lock"
  std::string object{};   // kind and name: "mutex pool.metadata"; may be empty
  std::uint32_t object_id = 0;
  std::string file{};   // "engine/thin/discard.cc"
  std::uint32_t line = 0;
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  std::uint64_t c = 0;
  std::string name{};   // the event's own text; may be empty
  friend bool operator==(const Event&, const Event&) = default;
};

// A decision that was more than letting the same fiber go on.
struct Decision {
  std::uint64_t point = 0;
  std::uint64_t events_before = 0;   // its place among the events
  std::int64_t time_ns = 0;
  std::uint32_t from = 0;   // fiber
  std::uint32_t to = 0;     // fiber; else the fiber that the step runs on, or 0
  std::string kind;         // "run", "effect", "complete", "fire", "step", "value"
  std::string what;         // who goes on, or which step or value
  bool put_aside = false;   // `from` stopped short of what it was about to do
  bool deviation = false;   // not what the default rule says: part of the schedule
  std::string stopped_at;   // what `from` was about to do: "mutex_lock pool.metadata"
  std::string file;
  std::uint32_t line = 0;
  friend bool operator==(const Decision&, const Decision&) = default;
};

// One of a few that go round in a circle: fibers that wait for each other, or locks.
struct CircleEdge {
  std::string from;
  std::string to;
  std::string why;   // a few lines
  friend bool operator==(const CircleEdge&, const CircleEdge&) = default;
};

struct FoundDefect {
  std::string kind{};      // "checker", "deadlock", "atomic-context", ...
  std::string message{};   // one line
  std::string place{};     // the same for the same defect
  std::string detail{};    // several lines
  std::string fiber{};
  std::uint64_t point = 0;
  std::vector<CircleEdge> circle{};   // of deadlocks and lock orders
  friend bool operator==(const FoundDefect&, const FoundDefect&) = default;
};

struct Trace {
  // "tank", "disks", or kProgram: the tank around a program of somebody's own, which has neither
  // workload nor mutant, and of whose executions the schedule alone is kept, no seed.
  static constexpr std::string_view kProgram = "program";
  std::string world = "tank";
  std::string mutant;   // name, empty for the engine as it is
  std::string strategy;
  std::uint64_t seed = 0;
  std::uint64_t digest = 0;   // of the run; a replay must arrive at the same
  std::uint64_t points = 0;
  std::uint64_t preemptions = 0;
  std::int64_t time_ns = 0;
  std::string workload;   // TOML
  std::string schedule;   // the tank's text form of the decisions
  bool failed = false;
  FoundDefect defect;   // when failed
  std::vector<Fiber> fibers;
  std::vector<Decision> decisions;
  std::vector<Event> events;
  [[nodiscard]] bool of_program() const noexcept { return world == kProgram; }
  friend bool operator==(const Trace&, const Trace&) = default;
};

}   // namespace traces
