#include "traces/writer.h"

#include <algorithm>
#include <concepts>

#include <xxhash.h>

#include <fmt/format.h>

#include "traces/file_format.h"
#include "traces/words.h"

namespace traces {
namespace {

void append(std::string& line, std::string_view word) {
  append_word(line, word);
}
void append(std::string& line, std::integral auto number) {
  if constexpr (std::same_as<decltype(number), bool>) {
    line += number ? '1' : '0';
  } else {
    line += fmt::format_int{number}.c_str();
  }
}

template <typename... Fields>
void append_line(std::string& out, const Fields&... fields) {
  std::size_t written = 0;
  const auto one = [&](const auto& field) {
    if (written++ != 0) out += ' ';
    append(out, field);
  };
  (one(fields), ...);
  out += '\n';
}

void heading(std::string& out, std::string_view section, std::size_t lines) {
  fmt::format_to(std::back_inserter(out), "[{} {}]\n", section, lines);
}

void append_text(std::string& out, std::string_view section, std::string_view text) {
  heading(out, section, static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + 1);
  for (;;) {
    const std::size_t end = text.find('\n');
    out += kTextMark;
    out += text.substr(0, end);
    out += '\n';
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

}   // namespace

std::string write_trace(const Trace& trace) {
  std::string out{kFirstLine};
  out += '\n';
  heading(out, kRunSection, 9);
  append_line(out, "world", trace.world);
  append_line(out, "mutant", trace.mutant);
  append_line(out, "strategy", trace.strategy);
  append_line(out, "seed", trace.seed);
  append_line(out, "digest", trace.digest);
  append_line(out, "points", trace.points);
  append_line(out, "preemptions", trace.preemptions);
  append_line(out, "time_ns", trace.time_ns);
  append_line(out, "failed", trace.failed);
  heading(out, kFindingSection, 5);
  append_line(out, "kind", trace.defect.kind);
  append_line(out, "message", trace.defect.message);
  append_line(out, "place", trace.defect.place);
  append_line(out, "fiber", trace.defect.fiber);
  append_line(out, "point", trace.defect.point);
  append_text(out, kDetailSection, trace.defect.detail);
  heading(out, kCircleSection, trace.defect.circle.size());
  for (const CircleEdge& e : trace.defect.circle)
    append_line(out, e.from, e.to, e.why);
  append_text(out, kWorkloadSection, trace.workload);
  append_text(out, kScheduleSection, trace.schedule);
  heading(out, kFiberSection, trace.fibers.size());
  for (const Fiber& f : trace.fibers)
    append_line(out, f.id, f.parent, f.name);
  heading(out, kDecisionSection, trace.decisions.size());
  for (const Decision& d : trace.decisions)
    append_line(out, d.point, d.events_before, d.time_ns, d.from, d.to, d.kind, d.what, d.put_aside,
                d.deviation, d.stopped_at, d.file, d.line);
  heading(out, kEventSection, trace.events.size());
  for (const Event& e : trace.events)
    append_line(out, e.point, e.time_ns, e.fiber, e.op, e.object, e.object_id, e.file, e.line, e.a,
                e.b, e.c, e.name);
  const std::uint64_t sum = XXH64(out.data(), out.size(), 0);
  fmt::format_to(std::back_inserter(out), "{}{:016x}\n", kLastLine, sum);
  return out;
}

}   // namespace traces
