#include "traces/diff.h"

#include <algorithm>

#include <fmt/format.h>

namespace traces {
namespace {

std::string fiber_name(const Trace& trace, std::uint32_t id) {
  for (const Fiber& fiber : trace.fibers) {
    if (fiber.id == id) return fiber.name;
  }
  return fmt::format("fiber {}", id);
}

std::string describe(const Trace& trace, const Event& e) {
  std::string text = fmt::format("{}: {}", fiber_name(trace, e.fiber), e.op);
  if (!e.object.empty()) text += fmt::format(" {}@{}", e.object, e.object_id);
  if (!e.name.empty()) text += fmt::format(" '{}'", e.name);
  text += fmt::format(" ({}, {}, {})", e.a, e.b, e.c);
  if (!e.file.empty()) text += fmt::format(" at {}:{}", e.file, e.line);
  return text;
}

std::string describe(const Trace& trace, const Decision& d) {
  std::string text =
      fmt::format("{}, about to {}: {}", fiber_name(trace, d.from), d.stopped_at, d.kind);
  if (!d.what.empty()) text += fmt::format(" {}", d.what);
  if (d.to != 0) text += fmt::format(" ({})", fiber_name(trace, d.to));
  if (!d.file.empty()) text += fmt::format(" at {}:{}", d.file, d.line);
  return text;
}

template <typename Item>
std::string describe_at(const Trace& trace, const std::vector<Item>& items, std::size_t index) {
  if (index >= items.size()) return "nothing: it has ended";
  return fmt::format("{} (point {})", describe(trace, items[index]), items[index].point);
}

// The order of what happened is what counts, not when: a moved line is no divergence by itself, but
// another file is.
bool alike(const Event& a, const Event& b) {
  return a.fiber == b.fiber && a.op == b.op && a.object == b.object && a.object_id == b.object_id &&
         a.a == b.a && a.b == b.b && a.c == b.c && a.name == b.name && a.file == b.file;
}
bool alike(const Decision& a, const Decision& b) {
  return a.events_before == b.events_before && a.from == b.from && a.to == b.to &&
         a.kind == b.kind && a.what == b.what && a.put_aside == b.put_aside;
}

template <typename Item>
std::optional<Divergence> first_in(const Trace& recorded, const std::vector<Item>& then,
                                   const Trace& replayed, const std::vector<Item>& now,
                                   std::string_view part) {
  const std::size_t common = std::min(then.size(), now.size());
  std::size_t i = 0;
  while (i < common && alike(then[i], now[i]))
    ++i;
  if (i == then.size() && i == now.size()) return std::nullopt;
  std::string text = fmt::format("The runs part at {} {}.\n", part, i);
  if (i != 0) text += fmt::format("  both:     {}\n", describe_at(recorded, then, i - 1));
  text += fmt::format("  recorded: {}\n  replayed: {}\n", describe_at(recorded, then, i),
                      describe_at(replayed, now, i));
  return Divergence{std::string{part}, i, std::move(text)};
}

std::string describe_finding(const Trace& trace) {
  if (!trace.failed) return "nothing was found";
  return fmt::format("{} ({}): {}", trace.defect.kind, trace.defect.place, trace.defect.message);
}

}   // namespace

std::optional<Divergence> first_divergence(const Trace& recorded, const Trace& replayed) {
  if (recorded.workload != replayed.workload)
    return Divergence{"workload", 0, "The runs are of different workloads.\n"};
  const bool both_have_events = !recorded.events.empty() && !replayed.events.empty();
  if (both_have_events) {
    auto decision =
        first_in(recorded, recorded.decisions, replayed, replayed.decisions, "decision");
    auto event = first_in(recorded, recorded.events, replayed, replayed.events, "event");
    // Whichever comes first in time is the cause.
    if (decision && event) {
      const auto place = [&](const Trace& trace) {
        return decision->index < trace.decisions.size()
                   ? trace.decisions[decision->index].events_before
                   : trace.events.size();
      };
      return std::min(place(recorded), place(replayed)) <= event->index ? decision : event;
    }
    if (decision) return decision;
    if (event) return event;
  }
  if (describe_finding(recorded) != describe_finding(replayed)) {
    return Divergence{"finding", 0,
                      fmt::format("The runs end differently.\n  recorded: {}\n  replayed: {}\n",
                                  describe_finding(recorded), describe_finding(replayed))};
  }
  if (recorded.points != replayed.points || recorded.digest != replayed.digest) {
    return Divergence{
        "digest", 0,
        fmt::format("The events agree, but not the digests: {:016x} after {} points "
                    "recorded, {:016x} after {} replayed.\n",
                    recorded.digest, recorded.points, replayed.digest, replayed.points)};
  }
  return std::nullopt;
}

}   // namespace traces
