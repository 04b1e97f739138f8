#include "sim/trace_of.h"

#include <map>

#include <fmt/format.h>

#include "traces/names.h"

namespace sim {
namespace {

std::string object_text(engine::ObjectKind kind, const char* name) {
  if (name == nullptr) return {};
  return fmt::format("{} {}", traces::name_of(kind), name);
}

std::string_view kind_name(ChoiceKind kind) {
  switch (kind) {
    case ChoiceKind::run:
      return "run";
    case ChoiceKind::effect:
      return "effect";
    case ChoiceKind::complete:
      return "complete";
    case ChoiceKind::fire:
      return "fire";
    case ChoiceKind::step:
      return "step";
    case ChoiceKind::value:
      return "value";
  }
  return "?";
}

// Several fibers may bear one name; an ordinal tells them apart.
std::string fiber_name(const LoggedFiber& fiber, std::map<std::string, int>& seen) {
  std::string name = fiber.name != nullptr ? fiber.name : "fiber";
  const int earlier = seen[name]++;
  if (earlier != 0) name += fmt::format(" #{}", earlier + 1);
  return name;
}

traces::Event to_event(const LoggedEvent& logged) {
  return {.point = logged.point,
          .time_ns = logged.time_ns,
          .fiber = logged.actor.value(),
          .op = std::string{traces::name_of(logged.op)},
          .object = object_text(logged.object_kind, logged.object_name),
          .object_id = logged.object_id,
          .file = logged.where.file_name(),
          .line = logged.where.line(),
          .a = logged.a,
          .b = logged.b,
          .c = logged.c,
          .name = logged.name != nullptr ? logged.name : ""};
}

// A value says what was asked and what the answer was.
std::string what_of(const LoggedDecision& logged) {
  const std::string what = logged.what != nullptr ? logged.what : "";
  return logged.kind == ChoiceKind::value ? fmt::format("{} = {}", what, logged.value) : what;
}

traces::Decision to_decision(const LoggedDecision& logged) {
  std::string stopped_at{traces::name_of(logged.op)};
  if (logged.object_name != nullptr) stopped_at += fmt::format(" {}", logged.object_name);
  return {.point = logged.point,
          .events_before = logged.events_before,
          .time_ns = logged.time_ns,
          .from = logged.from.value(),
          .to = logged.to.value(),
          .kind = std::string{kind_name(logged.kind)},
          .what = what_of(logged),
          .put_aside = logged.put_aside,
          .deviation = logged.deviation,
          .stopped_at = std::move(stopped_at),
          .file = logged.where.file_name(),
          .line = logged.where.line()};
}

}   // namespace

traces::Trace trace_of(const Execution& execution) {
  const Outcome& outcome = execution.outcome();
  traces::Trace trace;
  trace.seed = execution.options().seed;
  trace.digest = outcome.digest;
  trace.points = outcome.points;
  trace.preemptions = outcome.preemptions;
  trace.time_ns = outcome.time_ns;
  trace.schedule = outcome.schedule.to_text();
  if (outcome.finding) {
    const Finding& finding = *outcome.finding;
    trace.failed = true;
    trace.defect = {.kind = std::string{to_string(finding.kind)},
                    .message = finding.message,
                    .place = finding.place,
                    .detail = finding.detail,
                    .fiber = finding.fiber,
                    .point = finding.point,
                    .circle = {}};
    for (const FindingEdge& edge : finding.circle)
      trace.defect.circle.push_back({edge.from, edge.to, edge.why});
  }
  std::map<std::string, int> seen;
  for (const LoggedFiber& fiber : execution.log().fibers)
    trace.fibers.push_back({fiber.id.value(), fiber.parent.value(), fiber_name(fiber, seen)});
  for (const LoggedDecision& decision : execution.log().decisions)
    trace.decisions.push_back(to_decision(decision));
  for (const LoggedEvent& event : execution.log().events)
    trace.events.push_back(to_event(event));
  return trace;
}

}   // namespace sim
