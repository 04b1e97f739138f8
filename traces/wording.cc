#include "traces/wording.h"

#include <algorithm>
#include <array>
#include <optional>

#include <fmt/format.h>

#include "engine/base/result.h"
#include "engine/fiber/event.h"
#include "traces/names.h"

namespace traces {
namespace {

using engine::BioOp;

constexpr std::uint64_t kMetaBlockSectors = 8;

std::string_view status_words(std::uint64_t status) {
  if (status > static_cast<std::uint64_t>(engine::Errc::failed)) return "failed";
  return engine::to_string(static_cast<engine::Errc>(status));
}

std::string blocks_words(std::uint64_t first, std::uint64_t count) {
  if (count <= 1) return fmt::format("block {}", first);
  return fmt::format("blocks {}–{}", first, first + count - 1);
}

// "data block 3", "thin 0 block 1", "metadata block 17"; with the sectors when it is a part.
std::string range_words(const RunModel& run, const IoLife& io) {
  const bool metadata = io.disk && io.device == "metadata";
  const std::uint64_t unit = metadata ? kMetaBlockSectors : run.block_sectors();
  std::string owner = io.device;
  if (!io.disk) {
    const auto thin = run.thin_of_device(io.device_id);
    owner = thin ? fmt::format("thin {}", *thin) : fmt::format("{}@{}", io.device, io.device_id);
  }
  const std::uint64_t first = io.sector / unit;
  const std::uint64_t last = (io.sector + (io.sectors != 0 ? io.sectors - 1 : 0)) / unit;
  std::string text = fmt::format("{} {}", owner, blocks_words(first, last - first + 1));
  if (io.sector % unit != 0 || io.sectors % unit != 0) {
    text += io.sectors == 1
                ? fmt::format(", sector {}", io.sector % unit)
                : fmt::format(", sectors {}–{}", io.sector % unit,
                              io.sector % unit + (io.sectors != 0 ? io.sectors - 1 : 0));
  }
  return text;
}

std::string cell_words(const Event& e) {
  constexpr std::uint64_t kThinMask = 0xFFFFFFFFU;
  return e.a >> 32U != 0 ? fmt::format("data block {}", e.b)
                         : fmt::format("thin {} block {}", e.a & kThinMask, e.b);
}

std::string_view mode_words(std::uint64_t mode) {
  static constexpr std::array<std::string_view, 5> kModes{
      "write", "out of data space", "out of metadata space", "read-only", "fail"};
  return mode < kModes.size() ? kModes[mode] : "?";
}

struct Phrase {
  std::string_view op;
  std::string_view done;       // as an event: "locks"
  std::string_view about_to;   // as what comes next: "lock"
};
// Of operations whose object completes the sentence.
constexpr Phrase kPhrases[] = {
    {"mutex_lock", "locks", "lock"},
    {"mutex_try_lock", "tries to lock", "try to lock"},
    {"mutex_unlock", "unlocks", "unlock"},
    {"read_lock", "read-locks", "read-lock"},
    {"read_unlock", "ends reading", "end reading"},
    {"write_lock", "write-locks", "write-lock"},
    {"write_unlock", "ends writing", "end writing"},
    {"spin_lock", "takes spin lock", "take spin lock"},
    {"spin_unlock", "drops spin lock", "drop spin lock"},
    {"condition_wait", "waits for", "wait for"},
    {"condition_notify", "notifies", "notify"},
    {"completion_wait", "has waited for", "wait for"},
    {"completion_signal", "signals", "signal"},
    {"rcu_read_lock", "begins to read", "begin to read"},
    {"rcu_read_unlock", "ends reading", "end reading"},
    {"rcu_synchronize", "has seen off the readers of", "wait for the readers of"},
    {"ref_get", "takes a reference to", "take a reference to"},
    {"ref_put", "drops a reference to", "drop a reference to"},
    {"atomic_load", "reads", "read"},
    {"atomic_store", "sets", "set"},
    {"atomic_rmw", "changes", "change"},
    {"variable_read", "reads", "read"},
    {"variable_write", "writes", "write"},
    {"timer_arm", "arms timer", "arm timer"},
    {"timer_cancel", "cancels timer", "cancel timer"},
    {"timer_fire", "timer fires:", "fire timer"},
    {"work_queue", "queues work on", "queue work on"},
    {"work_run", "begins work of", "begin work of"},
    {"work_done", "has done work of", "end work of"},
    {"yield", "gives way", "give way"},
    {"fiber_spawn", "starts", "start"},
    {"fiber_start", "begins", "begin"},
    {"fiber_exit", "ends", "end"},
    {"fiber_park", "waits for", "wait for"},
    {"fiber_unpark", "wakes", "wake"},
    {"bio_submit", "submits to", "submit to"},
};

const Phrase* phrase_of(std::string_view op) {
  for (const Phrase& phrase : kPhrases) {
    if (phrase.op == op) return &phrase;
  }
  return nullptr;
}

std::string joined(std::string_view verb, std::string_view object) {
  return object.empty() ? std::string{verb} : fmt::format("{} {}", verb, object);
}

// A cache's blocks have places, and its modes are its own.
std::optional<std::string> cache_words(const Event& e) {
  static constexpr std::array<std::string_view, 3> kModes{"write", "read-only", "fail"};
  const auto mode = [](std::uint64_t value) {
    return value < kModes.size() ? kModes[value] : std::string_view{"?"};
  };
  if (e.object != "variable cache") return std::nullopt;
  if (e.op == "mapping_insert") return fmt::format("block {} is cached in place {}", e.b, e.c);
  if (e.op == "mapping_remove") return fmt::format("place {} is given up", e.b);
  if (e.op == "mode_change")
    return joined(fmt::format("cache mode: {} → {}", mode(e.a), mode(e.b)),
                  e.name.empty() ? "" : fmt::format("({})", e.name));
  return std::nullopt;
}

std::optional<std::string> state_words(const Event& e) {
  if (auto words = cache_words(e)) return words;
  if (e.op == "data_block_alloc") return fmt::format("data block {} is allocated", e.a);
  if (e.op == "data_block_ref") return fmt::format("data block {} now has {} users", e.a, e.b);
  if (e.op == "mapping_insert")
    return fmt::format("thin {} block {} → data block {}", e.a, e.b, e.c);
  if (e.op == "mapping_remove")
    return fmt::format("thin {} {} unmapped", e.a, blocks_words(e.b, e.c));
  if (e.op == "commit_begin") return "commit begins";
  if (e.op == "commit_end")
    return e.b == 0 ? "commit ends" : fmt::format("commit fails: {}", status_words(e.b));
  if (e.op == "mode_change")
    return joined(fmt::format("pool mode: {} → {}", mode_words(e.a), mode_words(e.b)),
                  e.name.empty() ? "" : fmt::format("({})", e.name));
  if (e.op == "discard_passdown")
    return fmt::format("passes the discard of data {} down", blocks_words(e.a, e.b));
  if (e.op == "discard_done")
    return fmt::format("discard of data {} is over", blocks_words(e.a, e.b));
  if (e.op == "cell_detain")
    return e.c != 0 ? "claims " + cell_words(e)
                    : fmt::format("must wait: {} is claimed", cell_words(e));
  if (e.op == "cell_release") return fmt::format("{} is free again", cell_words(e));
  if (e.op == "control") return fmt::format("control: {} {}", e.name, object_name(e.object));
  if (e.op == "control_done")
    return e.a == 0 ? "control done" : fmt::format("control fails: {}", status_words(e.a));
  if (e.op == "note") return joined("note:", e.name);
  if (e.op == kLeftOut) return fmt::format("({} events and {} decisions left out)", e.a, e.b);
  return std::nullopt;
}

}   // namespace

std::string place(std::string_view file, std::uint32_t line) {
  return file.empty() ? std::string{} : fmt::format("{}:{}", file, line);
}

std::string circled(std::size_t number) {
  if (number == 0 || number > 20) return fmt::format("({})", number);
  // U+2460 and on, in UTF-8.
  std::string text = "\xE2\x91\xA0";
  text.back() = static_cast<char>(0xA0 + number - 1);
  return text;
}

std::string io_words(const RunModel& run, const IoLife& io) {
  if (io.op == BioOp::flush)
    return fmt::format(
        "flush of {}", io.disk ? io.device : [&] {
          const auto thin = run.thin_of_device(io.device_id);
          return thin ? fmt::format("thin {}", *thin)
                      : fmt::format("{}@{}", io.device, io.device_id);
        }());
  static constexpr std::array<std::string_view, 5> kVerbs{"read of", "write to", "zeroing of",
                                                          "discard of", "flush of"};
  return fmt::format("{} {}{}", kVerbs[static_cast<std::size_t>(io.op)], range_words(run, io),
                     io.fua ? " (FUA)" : "");
}

std::string event_words(const RunModel& run, std::size_t index) {
  const Event& e = run.trace().events[index];
  if (const auto words = state_words(e)) return *words;
  if (const IoLife* const io = run.io_of_event(index)) {
    std::string words = io_words(run, *io);
    if (e.op == "bio_submit") return (io->disk ? "submits " : "asks for ") + words;
    if (e.op == "bio_effect") return words + " TAKES EFFECT";
    if (e.c != 0) return fmt::format("{} fails: {}", words, status_words(e.c));
    return words + " is done";
  }
  const std::string name = run.object_words(e);
  if (e.op == "fiber_unpark" || e.op == "fiber_spawn")
    return joined(e.op == "fiber_spawn" ? "starts" : "wakes",
                  run.fiber_name(static_cast<std::uint32_t>(e.a)));
  if (e.op == "fiber_park") {
    // What it waits in is in `a`.
    const bool known = e.a <= static_cast<std::uint64_t>(engine::OpKind::note);
    const auto op = known ? name_of(static_cast<engine::OpKind>(e.a)) : std::string_view{};
    if (op == "work_run") return "has nothing to do";
    if (op == "mutex_lock" || op == "read_lock" || op == "write_lock")
      return joined("must wait for lock", name);
    return joined("waits for", name);
  }
  if (e.op == "thread_start") return joined("makes thread", e.name);
  if (e.op == "thread_join") return joined("has joined", e.name);
  // An exchange that did not come about, or put back what was there.
  if (e.op == "atomic_rmw" && e.c != 0) return fmt::format("leaves {} as it is", name);
  if (e.op == "work_run" && !e.name.empty()) return joined("begins work:", e.name);
  if (e.op == "work_queue" && !e.name.empty()) return joined("queues work:", e.name);
  const Phrase* const phrase = phrase_of(e.op);
  std::string words = joined(phrase != nullptr ? phrase->done : std::string_view{e.op}, name);
  if (e.op == "rcu_read_lock" || e.op == "rcu_read_unlock") words += " (RCU)";
  return words;
}

std::string about_to_words(std::string_view stopped_at) {
  const std::size_t blank = stopped_at.find(' ');
  const std::string_view op = stopped_at.substr(0, blank);
  const std::string_view object =
      blank == std::string_view::npos ? std::string_view{} : stopped_at.substr(blank + 1);
  if (op == "work_run" && object.empty()) return "begin work";
  const Phrase* const phrase = phrase_of(op);
  return joined(phrase != nullptr ? phrase->about_to : op, object);
}

// The same of whom `d` put aside.
std::string about_to_words(const RunModel& run, const Decision& d) {
  const std::size_t event = run.event_put_off(d);
  if (event == kNone) return about_to_words(d.stopped_at);
  const std::string_view op = std::string_view{d.stopped_at}.substr(0, d.stopped_at.find(' '));
  return about_to_words(fmt::format("{} {}", op, run.object_words(run.trace().events[event])));
}

std::string who(const RunModel& run, std::uint32_t fiber) {
  const std::string_view disk = run.disk_of_fiber(fiber);
  if (!disk.empty()) return fmt::format("disk {}", disk);
  return run.fiber_name(fiber);
}

namespace {

// The I/Os of the same disk that were submitted earlier and are passed over.
std::string overtaken(const RunModel& run, const IoLife& io) {
  const IoLife* oldest = nullptr;
  std::size_t count = 0;
  for (const IoLife& other : run.ios()) {
    if (&other == &io || other.device_id != io.device_id || other.submit >= io.submit) continue;
    const std::size_t settled = other.effect != kNone ? other.effect : other.complete;
    if (settled < io.effect) continue;
    ++count;
    if (oldest == nullptr || (other.overlaps(io) && !oldest->overlaps(io))) oldest = &other;
  }
  if (count == 0) return {};
  std::string text = fmt::format(", before the older {}", io_words(run, *oldest));
  if (count > 1) text += fmt::format(" and {} more", count - 1);
  return text;
}

}   // namespace

namespace {

// What `from` was at when the environment acted.
std::string meanwhile(const RunModel& run, const Decision& d, std::string_view where) {
  if (d.from == 0) return {};
  if (d.stopped_at.starts_with("work_run"))
    return fmt::format(", while {} has nothing to do", who(run, d.from));
  if (d.stopped_at.starts_with("fiber_exit")) return fmt::format(", after {}", who(run, d.from));
  return fmt::format(", while {} is about to {}{}", who(run, d.from), about_to_words(d.stopped_at),
                     where);
}

}   // namespace

std::string decision_words(const RunModel& run, const Decision& d) {
  const std::string from = who(run, d.from);
  const std::string at = place(d.file, d.line);
  const std::string where = at.empty() ? "" : fmt::format(" at {}", at);
  if (d.kind == "run") {
    if (d.put_aside)
      return fmt::format("{} is put aside{}, about to {}; {} goes on instead", from, where,
                         about_to_words(run, d), who(run, d.to));
    return fmt::format("{} goes on, {} having stopped{}", who(run, d.to), from, where);
  }
  if (d.kind == "value") return fmt::format("{}: {}", from, d.what);
  const std::string rest = meanwhile(run, d, where);
  const IoLife* const io = run.io_of_decision(d);
  if (d.kind == "effect" && io != nullptr)
    return fmt::format("the {} takes effect{}{}", io_words(run, *io), overtaken(run, *io), rest);
  if (d.kind == "complete" && io != nullptr)
    return fmt::format("the {} ends{}", io_words(run, *io), rest);
  if (d.kind == "fire") return fmt::format("timer {} fires{}", d.what, rest);
  return (d.what.empty() ? d.kind : d.what) + rest;
}

std::string decision_mark(const RunModel& run, const Decision& d) {
  if (d.kind == "run") {
    if (d.put_aside) return fmt::format("put aside, about to {}", about_to_words(run, d));
    return fmt::format("{} goes on", who(run, d.to));
  }
  if (d.kind == "fire") return joined("timer fires:", d.what);
  return d.what.empty() ? d.kind : d.what;
}

std::string threads_words(const RunModel& run) {
  const Trace& trace = run.trace();
  constexpr std::size_t kMost = 20;
  std::string words = "threads: ";
  for (std::size_t i = 0; i < std::min(trace.fibers.size(), kMost); ++i)
    words += (i == 0 ? "" : ", ") + run.fiber_name(trace.fibers[i].id);
  if (trace.fibers.size() > kMost)
    words += fmt::format(" and {} more", trace.fibers.size() - kMost);
  return words;
}

std::string left_out_words(const Trace& trace) {
  const auto gap = std::find_if(trace.events.begin(), trace.events.end(),
                                [](const Event& event) { return event.op == kLeftOut; });
  if (gap == trace.events.end()) return {};
  return fmt::format(
      "a long run, of which the beginning and the end are kept: {} events and {} decisions before "
      "step {} are left out of story, picture and timeline, none of the schedule",
      gap->a, gap->b, gap->point);
}

std::string_view defect_title(const Trace& trace) {
  const FoundDefect& defect = trace.defect;
  struct Title {
    std::string_view kind;
    std::string_view words;
  };
  static constexpr Title kTitles[] = {
      {"assertion", "The engine fails its own check"},
      {"atomic-context", "Blocking where nothing may block"},
      {"lifetime", "Use after the end"},
      {"deadlock", "Deadlock"},
      {"lock-order", "Locks in opposite orders"},
      {"endless", "No end"},
      {"leak", "Memory that is never freed"},
      {"crash", "Crash"},
  };
  if (trace.of_program() && defect.kind == "assertion") return "The program fails its own check";
  for (const Title& title : kTitles) {
    if (title.kind == defect.kind) return title.words;
  }
  if (defect.place.starts_with("data_oracle")) return "Wrong data";
  if (defect.place.starts_with("thin_image")) return "Damaged metadata";
  if (defect.place.starts_with("lower_device")) return "The disk is misused";
  if (defect.place.starts_with("pool_mode")) return "Wrong pool mode";
  return "A rule is broken";
}

}   // namespace traces
