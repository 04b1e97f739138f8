#include "traces/story.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "traces/escape.h"
#include "traces/outline.h"
#include "traces/selection.h"
#include "traces/wording.h"

namespace traces {
namespace {

constexpr std::size_t kWidth = 96;
constexpr std::size_t kRows = 26;
constexpr std::size_t kDecisions = 8;

class Story {
 public:
  explicit Story(const Trace& trace)
      : trace_{trace},
        run_{trace},
        selection_{select_rows(run_, {.rows_max = kRows, .decisions_max = kDecisions})} {}

  std::string tell(std::string_view replay_command) {
    found();
    what_was_run();
    what_was_decided();
    what_happened();
    if (!replay_command.empty()) section("Again", replay_command);
    return well_formed(out_);
  }

 private:
  template <typename... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
    out_ += '\n';
  }

  void paragraph(std::string_view text, std::string_view first = "  ",
                 std::string_view later = "  ") {
    bool begun = false;
    for (const std::string& line : wrapped(text, kWidth - later.size())) {
      add("{}{}", begun ? later : first, line);
      begun = true;
    }
  }

  void section(std::string_view title, std::string_view line) { add("\n{}\n  {}", title, line); }

  void found() {
    if (!trace_.failed) {
      add("Nothing was found in this run.");
      return;
    }
    paragraph(fmt::format("{}: {}", defect_title(trace_), trace_.defect.message), "", "");
    if (!selection_.explanation.empty()) {
      add("");
      paragraph(selection_.explanation, "", "");
    }
    add("\nFound");
    add("  {}{}{}", trace_.defect.kind, trace_.defect.place.empty() ? "" : ", ",
        trace_.defect.place);
    if (!trace_.defect.fiber.empty())
      add("  by {} at step {}", trace_.defect.fiber, trace_.defect.point);
    std::string_view detail = trace_.defect.detail;
    while (!detail.empty()) {
      const std::size_t end = detail.find('\n');
      const std::string_view line = detail.substr(0, end);
      const std::string margin(4 + std::min(line.find_first_not_of(' '), line.size()), ' ');
      paragraph(line, margin, margin + "  ");
      detail.remove_prefix(end == std::string_view::npos ? detail.size() : end + 1);
    }
  }

  void what_was_run() {
    const WorkloadOutline outline = outline_of(trace_.workload);
    add("\nRun");
    run_words(outline);
    if (const std::string left_out = left_out_words(trace_); !left_out.empty()) paragraph(left_out);
  }

  void run_words(const WorkloadOutline& outline) {
    if (trace_.of_program()) {
      paragraph(fmt::format("the program in the tank{}: {} steps, {} preemption{}",
                            trace_.strategy.empty() ? "" : ", timers at any time", trace_.points,
                            trace_.preemptions, trace_.preemptions == 1 ? "" : "s"));
      paragraph(threads_words(run_), "  ", "      ");
      return;
    }
    std::string facts = outline.scenario.empty() ? "a workload" : outline.scenario;
    if (!trace_.mutant.empty()) facts += fmt::format(" on mutant {}", trace_.mutant);
    facts += fmt::format(" in the {}: seed {}{}{}, {} operations, {} steps, {} preemption{}",
                         trace_.world, trace_.seed, trace_.strategy.empty() ? "" : ", ",
                         trace_.strategy, outline.operation_count(), trace_.points,
                         trace_.preemptions, trace_.preemptions == 1 ? "" : "s");
    paragraph(facts);
    if (!outline.system.empty()) paragraph(fmt::format("{}", fmt::join(outline.system, ", ")));
    if (!outline.faults.empty()) paragraph(fmt::format("{}", fmt::join(outline.faults, ", ")));
    for (const OutlineActor& actor : outline.actors)
      paragraph(fmt::format("{}: {}", actor.name, fmt::join(actor.operations, "; ")), "  ",
                "      ");
  }

  void what_was_decided() {
    add("\nDecided by the schedule");
    if (selection_.decisions.empty()) add("  nothing: it happens in the order of the default rule");
    for (const auto& [number, index] : selection_.decisions)
      paragraph(
          fmt::format("{} {}", circled(number), decision_words(run_, trace_.decisions[index])),
          "  ", "     ");
    if (selection_.decisions_left_out != 0)
      add("  … and {} decisions more", selection_.decisions_left_out);
  }

  void what_happened() {
    if (selection_.rows.empty()) return;
    std::size_t width = 4;
    for (const Lane& lane : selection_.lanes)
      width = std::max(width, characters(lane.name));
    add("\nHappened");
    std::uint64_t point = 0;
    for (const Row& row : selection_.rows) {
      if (row.point > point + 2) add("  {:>6} {:{}} …", "", "", width);
      point = std::max(point, row.point);
      const std::string& lane = selection_.lanes[row.lane].name;
      std::string text = row.number != 0 ? circled(row.number) + " " : "";
      std::string at;
      if (row.kind == RowKind::failure) {
        text += fmt::format("✗ {}", defect_title(trace_));
      } else if (row.kind == RowKind::decision) {
        const Decision& d = trace_.decisions[row.index];
        text += decision_mark(run_, d);
        at = place(d.file, d.line);
      } else {
        const Event& e = trace_.events[row.index];
        text += event_words(run_, row.index);
        if (e.op != "bio_effect") at = place(e.file, e.line);
      }
      if (!at.empty()) text += fmt::format("  ({})", at);
      add("  {:>6} {:{}}  {}", row.point, lane, width, text);
    }
  }

  const Trace& trace_;
  RunModel run_;
  Selection selection_;
  std::string out_;
};

}   // namespace

std::string render_story(const Trace& trace, std::string_view replay_command) {
  return Story{trace}.tell(replay_command);
}

}   // namespace traces
