#include "traces/reader.h"

#include <optional>

#include <xxhash.h>

#include <fmt/format.h>

#include "traces/file_format.h"
#include "traces/words.h"

namespace traces {
namespace {

// Goes through the lines and keeps the first thing wrong, with its place.
class FileReader {
 public:
  explicit FileReader(std::string_view bytes) : rest_{bytes} {}

  tl::expected<Trace, std::string> read() {
    if (!first_line()) return failure();
    Trace trace;
    run(trace);
    finding(trace.defect);
    text(kDetailSection, trace.defect.detail);
    list(kCircleSection, trace.defect.circle, "FROM TO WHY", [](WordReader& w, CircleEdge& e) {
      return w.text(e.from) && w.text(e.to) && w.text(e.why);
    });
    text(kWorkloadSection, trace.workload);
    text(kScheduleSection, trace.schedule);
    list(kFiberSection, trace.fibers, "ID PARENT NAME", [](WordReader& w, Fiber& f) {
      return w.number(f.id) && w.number(f.parent) && w.text(f.name);
    });
    list(kDecisionSection, trace.decisions,
         "POINT EVENTS TIME FROM TO KIND WHAT PREEMPTION DEVIATION STOPPED_AT FILE LINE",
         [](WordReader& w, Decision& d) {
           return w.number(d.point) && w.number(d.events_before) && w.number(d.time_ns) &&
                  w.number(d.from) && w.number(d.to) && w.text(d.kind) && w.text(d.what) &&
                  w.flag(d.put_aside) && w.flag(d.deviation) && w.text(d.stopped_at) &&
                  w.text(d.file) && w.number(d.line);
         });
    list(kEventSection, trace.events, "POINT TIME FIBER OP OBJECT OBJECT_ID FILE LINE A B C NAME",
         [](WordReader& w, Event& e) {
           return w.number(e.point) && w.number(e.time_ns) && w.number(e.fiber) && w.text(e.op) &&
                  w.text(e.object) && w.number(e.object_id) && w.text(e.file) && w.number(e.line) &&
                  w.number(e.a) && w.number(e.b) && w.number(e.c) && w.text(e.name);
         });
    end();
    if (!error_.empty()) return failure();
    return trace;
  }

 private:
  tl::unexpected<std::string> failure() { return tl::unexpected{std::move(error_)}; }

  void wrong(std::string_view what) {
    if (!error_.empty()) return;
    error_ = section_.empty() ? fmt::format("line {}: {}", line_number_, what)
                              : fmt::format("line {}, [{}]: {}", line_number_, section_, what);
  }

  // The next line without its end; none after an error or at the end of the bytes.
  std::optional<std::string_view> line() {
    if (!error_.empty()) return std::nullopt;
    ++line_number_;
    const std::size_t end = rest_.find('\n');
    if (end == std::string_view::npos) {
      wrong(rest_.empty() ? "the file ends here: it is truncated"
                          : "the file ends within this line: it is truncated");
      return std::nullopt;
    }
    last_line_ = rest_.data();
    const std::string_view found = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return found;
  }

  bool first_line() {
    begin_ = rest_.data();
    if (!rest_.starts_with(kMagic)) {
      line_number_ = 1;
      wrong(kMagic.starts_with(rest_) ? "the file ends here: it is truncated"
                                      : "not a trace: it does not begin with 'wavetank trace'");
      return false;
    }
    const auto first = line();
    if (first && *first != kFirstLine)
      wrong("a trace of another version: this program reads version 2");
    return error_.empty();
  }

  // How many lines the section has.
  std::size_t heading(std::string_view name) {
    section_ = {};
    const auto found = line();
    if (!found) return 0;
    std::string_view words = *found;
    std::size_t count = 0;
    if (words.starts_with('[') && words.ends_with(']') && words.substr(1).starts_with(name)) {
      words = words.substr(1 + name.size(), words.size() - name.size() - 2);
      WordReader reader{words.empty() ? words : words.substr(1)};
      if (words.starts_with(' ') && reader.number(count) && reader.finished()) {
        section_ = name;
        // A line has two bytes at least.
        if (count > rest_.size())
          wrong("the heading promises more lines than follow: truncated, or damaged here");
        return error_.empty() ? count : 0;
      }
    }
    wrong(fmt::format("a heading like [{} 12] belongs here", name));
    return 0;
  }

  template <typename Field>
  void fact(std::string_view key, Field& field) {
    const auto found = line();
    if (!found) return;
    WordReader words{*found};
    std::string name;
    bool good = words.text(name) && name == key;
    if (!good) return wrong(fmt::format("'{}' and its value belong here", key));
    if constexpr (std::same_as<Field, bool>) {
      good = words.flag(field);
    } else if constexpr (std::integral<Field>) {
      good = words.number(field);
    } else {
      good = words.text(field);
    }
    if (!good || !words.finished()) wrong(fmt::format("the value of '{}' does not read", key));
  }

  void count_is(std::size_t found, std::size_t wanted) {
    if (found != wanted) wrong(fmt::format("{} lines belong here, not {}", wanted, found));
  }

  void run(Trace& trace) {
    count_is(heading(kRunSection), 9);
    fact("world", trace.world);
    fact("mutant", trace.mutant);
    fact("strategy", trace.strategy);
    fact("seed", trace.seed);
    fact("digest", trace.digest);
    fact("points", trace.points);
    fact("preemptions", trace.preemptions);
    fact("time_ns", trace.time_ns);
    fact("failed", trace.failed);
  }

  void finding(FoundDefect& defect) {
    count_is(heading(kFindingSection), 5);
    fact("kind", defect.kind);
    fact("message", defect.message);
    fact("place", defect.place);
    fact("fiber", defect.fiber);
    fact("point", defect.point);
  }

  void text(std::string_view section, std::string& out) {
    const std::size_t lines = heading(section);
    if (lines == 0) wrong("a text has one line at least");
    for (std::size_t i = 0; i < lines; ++i) {
      const auto found = line();
      if (!found) return;
      if (!found->starts_with(kTextMark)) return wrong("a line of text begins with '| '");
      if (i != 0) out += '\n';
      out += found->substr(kTextMark.size());
    }
  }

  template <typename Item, typename Read>
  void list(std::string_view section, std::vector<Item>& out, std::string_view fields,
            Read&& read_one) {
    const std::size_t lines = heading(section);
    for (std::size_t i = 0; i < lines; ++i) {
      const auto found = line();
      if (!found) return;
      WordReader words{*found};
      if (!read_one(words, out.emplace_back()) || !words.finished())
        return wrong(fmt::format("the line does not read as {}", fields));
    }
  }

  void end() {
    section_ = {};
    const auto found = line();
    if (!found) return;
    const auto covered = static_cast<std::size_t>(last_line_ - begin_);
    if (*found != fmt::format("{}{:016x}", kLastLine, XXH64(begin_, covered, 0))) {
      return wrong(found->starts_with(kLastLine)
                       ? "the checksum differs: some line above is damaged"
                       : "the [end] and its checksum belong here");
    }
    ++line_number_;
    if (!rest_.empty()) wrong("bytes after the end");
  }

  std::string_view rest_;
  const char* begin_ = nullptr;
  const char* last_line_ = nullptr;
  std::size_t line_number_ = 0;
  std::string_view section_;
  std::string error_;
};

}   // namespace

tl::expected<Trace, std::string> read_trace(std::string_view bytes) {
  return FileReader{bytes}.read();
}

}   // namespace traces
