#include "sim/trace_of.h"

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
std::string fiber_name(const LoggedFiber& fiber) {
  std::string name = fiber.name != nullptr ? fiber.name : "fiber";
  if (fiber.earlier != 0) name += fmt::format(" #{}", fiber.earlier + 1);
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

// `events_before` is its place among the events of the trace.
traces::Decision to_decision(const LoggedDecision& logged, std::uint64_t events_before) {
  std::string stopped_at{traces::name_of(logged.op)};
  if (logged.object_name != nullptr) stopped_at += fmt::format(" {}", logged.object_name);
  return {.point = logged.point,
          .events_before = events_before,
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

// What a log of a long execution has left out, as an event where it was.
struct LeftOut {
  bool anything = false;
  std::size_t at = 0;   // before which of the events
  traces::Event event{};
};
LeftOut left_out_of(const EventLog& log) {
  LeftOut gap{.anything = log.events.left_out() + log.decisions.left_out() != 0};
  if (!gap.anything) return gap;
  const bool of_events = log.events.left_out() != 0;
  gap.at = of_events ? log.events.gap()
                     : log.events.place_of(log.decisions[log.decisions.gap()].events_before);
  gap.event.op = traces::kLeftOut;
  gap.event.a = log.events.left_out();
  gap.event.b = log.decisions.left_out();
  if (of_events) {
    const LoggedEvent& next = log.events[gap.at];
    gap.event.point = next.point;
    gap.event.time_ns = next.time_ns;
    gap.event.fiber = next.actor.value();
  } else {
    const LoggedDecision& next = log.decisions[log.decisions.gap()];
    gap.event.point = next.point;
    gap.event.time_ns = next.time_ns;
    gap.event.fiber = next.from.value();
  }
  return gap;
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
  const EventLog& log = execution.log();
  for (std::size_t i = 0; i < log.fibers.kept(); ++i) {
    const LoggedFiber& fiber = log.fibers[i];
    trace.fibers.push_back({fiber.id.value(), fiber.parent.value(), fiber_name(fiber)});
  }
  const LeftOut gap = left_out_of(log);
  for (std::size_t i = 0; i < log.decisions.kept(); ++i) {
    const LoggedDecision& decision = log.decisions[i];
    std::uint64_t before = log.events.place_of(decision.events_before);
    // Behind the gap, if it was made behind it.
    if (gap.anything && (before > gap.at || (before == gap.at && i >= log.decisions.gap())))
      ++before;
    trace.decisions.push_back(to_decision(decision, before));
  }
  for (std::size_t i = 0; i < log.events.kept(); ++i) {
    if (gap.anything && i == gap.at) trace.events.push_back(gap.event);
    trace.events.push_back(to_event(log.events[i]));
  }
  if (gap.anything && gap.at == log.events.kept()) trace.events.push_back(gap.event);
  return trace;
}

}   // namespace sim
