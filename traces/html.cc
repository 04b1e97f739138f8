#include "traces/html.h"

#include <map>

#include <fmt/format.h>

#include "traces/escape.h"
#include "traces/fiber_states.h"
#include "traces/html_page.h"
#include "traces/selection.h"
#include "traces/wording.h"

namespace traces {
namespace {

// The data of the page's script: arrays, in the order that the script reads them in.
class PageData {
 public:
  explicit PageData(const Trace& trace)
      : trace_{trace}, run_{trace}, selection_{select_rows(run_)} {}

  std::string write() {
    find_lanes();
    begin("lanes");
    for (const std::string& name : names_)
      item(R"("{}")", escape_json(name));
    begin("events");   // lane, point, time, op, words, place, marked
    for (std::size_t i = 0; i < trace_.events.size(); ++i) {
      const Event& e = trace_.events[i];
      item(R"([{},{},{},"{}","{}","{}",{}])", lane(e.fiber), e.point, e.time_ns, escape_json(e.op),
           escape_json(event_words(run_, i)), escape_json(place(e.file, e.line)),
           selected(i) ? 1 : 0);
    }
    const auto culprit =
        selection_.culprit == kNone ? -1 : static_cast<std::int64_t>(selection_.culprit);
    begin("culprit");
    item("{}", culprit);
    begin("failure");
    if (trace_.failed)
      item(R"("✗ {}")",
           escape_json(fmt::format("{}: {}", defect_title(trace_), trace_.defect.message)));
    begin("runs");   // lane, from, to, state
    const FiberStates states{trace_};
    for (const auto& [fiber, changes] : states.changes()) {
      for (std::size_t k = 0; k < changes.size(); ++k) {
        const std::size_t until =
            k + 1 < changes.size() ? changes[k + 1].position : 2 * trace_.events.size() + 2;
        if (changes[k].state != FiberState::absent && lanes_.contains(fiber))
          item("[{},{},{},{}]", lane(fiber), changes[k].position, until,
               static_cast<int>(changes[k].state));
      }
    }
    begin("ios");   // lane, submitted, effect or -1, end, op, words
    for (const IoLife& io : run_.ios()) {
      if (!io.disk) continue;
      const std::size_t end = io.complete == kNone ? trace_.events.size() : io.complete;
      item(R"([{},{},{},{},{},"{}"])", disk_lanes_[io.device], 2 * io.submit + 1,
           io.effect == kNone ? std::string{"-1"} : std::to_string(2 * io.effect + 1), 2 * end + 1,
           static_cast<int>(io.op), escape_json(io_words(run_, io)));
    }
    begin("decisions");   // position, lane, number or 0, words
    for (std::size_t i = 0; i < trace_.decisions.size(); ++i) {
      const Decision& d = trace_.decisions[i];
      if (!d.deviation) continue;
      std::size_t number = 0;
      for (const NumberedDecision& each : selection_.decisions) {
        if (each.decision == i) number = each.number;
      }
      item(R"([{},{},{},"{}"])", 2 * d.events_before, lane(d.from), number,
           escape_json(decision_words(run_, d)));
    }
    out_ += "\n]};\n";
    return std::move(out_);
  }

  [[nodiscard]] const Selection& selection() const noexcept { return selection_; }

 private:
  void begin(std::string_view name) {
    out_ += out_.empty() ? "const run={" : "\n],\n";
    fmt::format_to(std::back_inserter(out_), "{}:[\n", name);
    first_ = true;
  }
  template <typename... Args>
  void item(fmt::format_string<Args...> format, Args&&... args) {
    if (!first_) out_ += ",\n";
    first_ = false;
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }

  void find_lanes() {
    for (const Lane& each : selection_.lanes) {
      if (each.kind == LaneKind::disk) {
        disk_lanes_.emplace(each.name.substr(5), names_.size());
      } else {
        lanes_.emplace(each.fiber, names_.size());
      }
      names_.push_back(each.role.empty() ? each.name : each.name + " · " + each.role);
    }
    for (const Fiber& fiber : trace_.fibers) {
      if (run_.is_io_fiber(fiber.id) || lanes_.contains(fiber.id)) continue;
      lanes_.emplace(fiber.id, names_.size());
      names_.push_back(run_.fiber_name(fiber.id));
    }
    for (const std::string& disk : run_.disks()) {
      if (disk_lanes_.emplace(disk, names_.size()).second) names_.push_back("disk " + disk);
    }
    names_.emplace_back("others");
  }

  [[nodiscard]] std::size_t lane(std::uint32_t fiber) const {
    const auto disk = disk_lanes_.find(std::string{run_.disk_of_fiber(fiber)});
    if (disk != disk_lanes_.end()) return disk->second;
    const auto found = lanes_.find(fiber);
    return found == lanes_.end() ? names_.size() - 1 : found->second;
  }

  [[nodiscard]] bool selected(std::size_t event) const {
    for (const Row& row : selection_.rows) {
      if (row.kind == RowKind::event && row.index == event) return true;
    }
    return false;
  }

  const Trace& trace_;
  RunModel run_;
  Selection selection_;
  std::map<std::uint32_t, std::size_t> lanes_;
  std::map<std::string, std::size_t> disk_lanes_;
  std::vector<std::string> names_;
  bool first_ = true;
  std::string out_;
};

}   // namespace

std::string render_html(const Trace& trace) {
  PageData data{trace};
  const std::string title = trace.failed
                                ? fmt::format("{}: {}", defect_title(trace), trace.defect.message)
                                : std::string{"Nothing was found in this run"};
  std::string page{kHtmlBegin};
  page += fmt::format("<title>{0}</title></head><body><h1>{0}</h1><p>{1}</p>", escape_xml(title),
                      escape_xml(data.selection().explanation));
  if (const std::string left_out = left_out_words(trace); !left_out.empty())
    page += fmt::format("<p>{}</p>", escape_xml(left_out));
  page += kHtmlBody;
  page += "<script>\n";
  page += data.write();
  page += kHtmlScript;
  page += "</script></body></html>\n";
  return page;
}

}   // namespace traces
