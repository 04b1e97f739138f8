#include "traces/chrome_json.h"

#include <map>

#include <fmt/format.h>

#include "traces/escape.h"
#include "traces/fiber_states.h"
#include "traces/wording.h"

namespace traces {
namespace {

constexpr std::uint32_t kDiskTrack = 0xC0000000U;   // no fiber of the tank has such an id

class ChromeJson {
 public:
  explicit ChromeJson(const Trace& trace) : trace_{trace}, run_{trace} {}

  std::string write() {
    out_ = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n";
    name_tracks();
    slices();
    for (std::size_t i = 0; i < trace_.events.size(); ++i)
      instant(i);
    for (const Decision& decision : trace_.decisions)
      decided(decision);
    for (std::size_t i = 0; i < run_.ios().size(); ++i)
      io(i);
    counters();
    if (trace_.failed) failure();
    out_ += "\n]}\n";
    return std::move(out_);
  }

 private:
  template <typename... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    if (!first_) out_ += ",\n";
    first_ = false;
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }

  [[nodiscard]] std::uint32_t disk_track(std::string_view disk) const {
    std::uint32_t track = kDiskTrack;
    for (const std::string& each : run_.disks()) {
      if (each == disk) return track;
      ++track;
    }
    return track;
  }
  [[nodiscard]] std::uint32_t track(std::uint32_t fiber) const {
    const std::string_view disk = run_.disk_of_fiber(fiber);
    return disk.empty() ? fiber : disk_track(disk);
  }

  void name_track(std::uint32_t id, std::string_view name) {
    add(R"({{"ph":"M","pid":1,"tid":{},"name":"thread_name","args":{{"name":"{}"}}}})", id,
        escape_json(name));
  }

  void name_tracks() {
    add(R"({{"ph":"M","pid":1,"name":"process_name","args":{{"name":"{}"}}}})",
        escape_json(trace_.world));
    for (const Fiber& fiber : trace_.fibers) {
      if (!run_.is_io_fiber(fiber.id)) name_track(fiber.id, run_.fiber_name(fiber.id));
    }
    for (const std::string& disk : run_.disks())
      name_track(disk_track(disk), "disk " + disk);
  }

  void slices() {
    const FiberStates states{trace_};
    const std::size_t end = 2 * trace_.events.size() + 2;
    for (const auto& [fiber, changes] : states.changes()) {
      for (std::size_t k = 0; k < changes.size(); ++k) {
        if (changes[k].state != FiberState::running) continue;
        const std::size_t until = k + 1 < changes.size() ? changes[k + 1].position : end;
        add(R"({{"ph":"X","pid":1,"tid":{},"ts":{},"dur":{},"name":"{}","cat":"run"}})",
            track(fiber), changes[k].position, until - changes[k].position,
            escape_json(run_.fiber_name(fiber)));
      }
    }
  }

  void instant(std::size_t i) {
    const Event& e = trace_.events[i];
    const std::size_t ts = 2 * i + 1;
    add(R"({{"ph":"i","s":"t","pid":1,"tid":{},"ts":{},"name":"{}","cat":"{}","args":{{"what":"{}","at":"{}","object":"{}","point":{},"time_ns":{}}}}})",
        track(e.fiber), ts, escape_json(e.op), e.op.starts_with("bio_") ? "io" : "event",
        escape_json(event_words(run_, i)), escape_json(place(e.file, e.line)),
        escape_json(e.object), e.point, e.time_ns);
    if (e.op != "fiber_unpark") return;
    // From the waker to where the woken one runs next.
    const auto woken = static_cast<std::uint32_t>(e.a);
    for (std::size_t k = i + 1; k < trace_.events.size(); ++k) {
      if (trace_.events[k].fiber != woken) continue;
      flow("s", track(e.fiber), ts, i);
      flow("f", track(woken), 2 * k + 1, i);
      return;
    }
  }

  void flow(std::string_view phase, std::uint32_t tid, std::size_t ts, std::size_t id) {
    add(R"({{"ph":"{}","bp":"e","pid":1,"tid":{},"ts":{},"id":{},"name":"wake","cat":"wake"}})",
        phase, tid, ts, id);
  }

  void decided(const Decision& d) {
    if (!d.deviation) return;
    add(R"({{"ph":"i","s":"p","pid":1,"tid":{},"ts":{},"name":"decision","cat":"decision","args":{{"what":"{}","point":{}}}}})",
        track(d.from), 2 * d.events_before, escape_json(decision_words(run_, d)), d.point);
  }

  void io(std::size_t index) {
    const IoLife& io = run_.ios()[index];
    if (!io.disk) return;
    const std::size_t end = io.complete == kNone ? trace_.events.size() : io.complete;
    const auto edge = [&](std::string_view phase, std::size_t event) {
      add(R"({{"ph":"{}","pid":1,"tid":{},"ts":{},"id":"io{}","name":"{}","cat":"io"}})", phase,
          disk_track(io.device), 2 * event + 1, index, escape_json(io_words(run_, io)));
    };
    edge("b", io.submit);
    if (io.effect != kNone) edge("n", io.effect);
    edge("e", end);
  }

  void counters() {
    std::map<std::string, std::uint64_t> under_way;
    for (std::size_t i = 0; i < trace_.events.size(); ++i) {
      const IoLife* const io = run_.io_of_event(i);
      if (io == nullptr || !io->disk || i == io->effect) continue;
      std::uint64_t& count = under_way[io->device];
      count += i == io->submit ? 1 : std::uint64_t{0} - 1;
      add(R"({{"ph":"C","pid":1,"ts":{},"name":"under way on {}","args":{{"I/Os":{}}}}})",
          2 * i + 1, escape_json(io->device), count);
    }
  }

  void failure() {
    const FoundDefect& defect = trace_.defect;
    std::string circle;
    for (const CircleEdge& edge : defect.circle)
      circle += fmt::format(R"({}{{"from":"{}","to":"{}","why":"{}"}})", circle.empty() ? "" : ",",
                            escape_json(edge.from), escape_json(edge.to), escape_json(edge.why));
    add(R"({{"ph":"i","s":"g","pid":1,"tid":0,"ts":{},"name":"{}","cat":"finding","args":{{"what":"{}","kind":"{}","place":"{}","by":"{}","detail":"{}","circle":[{}]}}}})",
        2 * trace_.events.size() + 1, escape_json(defect_title(trace_)),
        escape_json(defect.message), escape_json(defect.kind), escape_json(defect.place),
        escape_json(defect.fiber), escape_json(defect.detail), circle);
  }

  const Trace& trace_;
  RunModel run_;
  bool first_ = true;
  std::string out_;
};

}   // namespace

std::string render_chrome_json(const Trace& trace) {
  return ChromeJson{trace}.write();
}

}   // namespace traces
