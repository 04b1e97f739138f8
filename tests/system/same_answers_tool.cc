// What our device-mapper answers to an operator's sequences of actions, for same_answers_test.py:
//   same_answers_tool FILE
// FILE has sequences: a line "sequence NAME [SETTING=N]...", then one action a line
// (Operator::act() has all of them). Each runs in a tank of its own, under one schedule, on the
// disks of kDisks. Printed is for each sequence "sequence NAME" and for each action a line of five
// fields, with tabs between them:
//   number, outcome, text, reason, ended
// The outcome is ok, an error or `pending`, for an action that has not ended by itself; text is
// what was asked for, `|` between lines; the reason is why a table was refused; ended has
// NUMBER=OUTCOME for each action that was pending and has ended since the line before. Exit 1 where
// the tank finds something.
#include <charconv>
#include <chrono>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "engine/cache/targets.h"
#include "engine/dm/system.h"
#include "engine/env/buffer.h"
#include "engine/fiber/timer.h"
#include "engine/thin/targets.h"
#include "sim/execution.h"
#include "sim/sim_device.h"

namespace {

using namespace engine;   // NOLINT(google-build-using-namespace)
using io::SuspendKind;
using Words = std::vector<std::string_view>;

constexpr std::uint64_t kPageSectors = 8;
constexpr std::uint64_t kPageBytes = kPageSectors * kSectorSize;
// By then an action that has not ended waits for another. Much less than any timeout.
constexpr Nanos kPatience = std::chrono::milliseconds{200};
constexpr Nanos kStep = std::chrono::milliseconds{5};

// The loop devices of guest/kernel_answers.py, which has the same list: a page of `fill` each.
struct Disk {
  const char* name;
  std::uint64_t sectors;
  int fill;
};
constexpr Disk kDisks[] = {
    {"meta", 4096, 0}, {"data", 8192, 0}, {"spare", 8192, 0}, {"origin", 1048, 77}};

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// A word each, without blanks.
std::string_view name_of(Errc code) noexcept {
  switch (code) {
    case Errc::ok:
      return "ok";
    case Errc::io_error:
      return "io_error";
    case Errc::power_lost:
      return "power_lost";
    case Errc::corrupt:
      return "corrupt";
    case Errc::not_found:
      return "not_found";
    case Errc::exists:
      return "exists";
    case Errc::invalid:
      return "invalid";
    case Errc::busy:
      return "busy";
    case Errc::no_data_space:
    case Errc::no_metadata_space:
      return "no_space";
    case Errc::read_only:
    case Errc::not_supported:
      return "not_supported";
    case Errc::not_permitted:
      return "not_permitted";
    case Errc::would_block:
      return "would_block";
    case Errc::requeue:
      return "requeue";
    case Errc::failed:
      return "failed";
  }
  return "?";
}

// The text after the first `count` words.
std::string_view rest_after(std::string_view line, std::size_t count) {
  for (; count != 0; --count) {
    line.remove_prefix(std::min(line.find(' '), line.size()));
    line.remove_prefix(std::min<std::size_t>(1, line.size()));
  }
  return line;
}

std::string on_one_line(std::string text) {
  while (!text.empty() && text.back() == '\n')
    text.pop_back();
  for (char& each : text)
    if (each == '\n') each = '|';
  return text;
}

// Pages by the byte that each is full of, equal neighbours together.
std::string describe(ConstBytes bytes) {
  std::string text;
  std::string last;
  std::size_t run = 0;
  const auto end_run = [&] {
    if (run != 0) fmt::format_to(std::back_inserter(text), " {}x{}", last, run);
    run = 0;
  };
  for (std::size_t at = 0; at < bytes.size(); at += kPageBytes) {
    const ConstBytes page = bytes.subspan(at, kPageBytes);
    const bool plain = std::memcmp(page.data(), page.data() + 1, page.size() - 1) == 0;
    std::string found = plain ? fmt::format("{}", std::to_integer<int>(page[0])) : "mixed";
    if (found != last) end_run();
    last = std::move(found);
    ++run;
  }
  end_run();
  return text.empty() ? text : text.substr(1);
}

struct Answer {
  std::string outcome;
  std::string text;
  std::string reason;
  bool ended = false;
  bool told = false;
};

Answer answer(const Result<void>& result) {
  return {.outcome = std::string{name_of(result ? Errc::ok : result.error().code)},
          .text = {},
          .reason = result ? "" : result.error().what};
}

Answer answer(const Result<std::string>& result) {
  if (!result)
    return {.outcome = std::string{name_of(result.error().code)},
            .text = {},
            .reason = result.error().what};
  return {.outcome = "ok", .text = on_one_line(*result), .reason = {}};
}

class Disks final : public DeviceDirectory {
 public:
  explicit Disks(sim::Execution& execution) {
    for (const Disk& disk : kDisks) {
      auto image = std::make_shared<sim::DiskImage>(disk.sectors);
      if (disk.fill != 0) {
        const std::vector<std::byte> bytes(disk.sectors * kSectorSize,
                                           static_cast<std::byte>(disk.fill));
        image->write(Sector{0}, bytes);
      }
      disks_.emplace(std::piecewise_construct, std::forward_as_tuple(disk.name),
                     std::forward_as_tuple(
                         execution, disk.name,
                         sim::SimDeviceOptions{.image = image,
                                               .discard_granularity_sectors = kPageSectors,
                                               .discard_leaves = sim::DiscardLeaves::zeroes}));
    }
  }
  Result<BlockDevice*> find(std::string_view name) override {
    const auto found = disks_.find(name);
    if (found == disks_.end()) return fail(Errc::not_found, 0, "no such disk");
    return &found->second;
  }

 private:
  std::map<std::string, sim::SimDevice, std::less<>> disks_;
};

struct Settings {
  thin::PoolOptions pool;
  cache::CacheOptions cache;
};

class Operator {
 public:
  Operator(sim::Execution& execution, Disks& disks, const Settings& settings)
      : execution_{execution},
        thin_{settings.pool},
        cache_{settings.cache},
        system_{{execution, disks}} {
    thin_.add_to(system_.registry());
    cache_.add_to(system_.registry());
  }

  // All of these suspend.
  void act_and_tell(std::string_view line) {
    const std::size_t index = answers_.size();
    answers_.push_back(std::make_unique<Answer>());
    execution_.spawn("action", [this, index, line] {
      Answer given = act(line);
      given.ended = true;
      *answers_[index] = std::move(given);
    });
    Answer& mine = *answers_[index];
    for (Nanos waited{0}; !mine.ended && (waited < kPatience || waits_by_itself(line));
         waited += kStep)
      sleep_for(kStep);
    sleep_for(kStep);   // what it has set going comes to rest
    mine.told = mine.ended;
    const std::string ended = ended_since();
    fmt::print("{}\t{}\t{}\t{}\t{}\n", index, mine.told ? mine.outcome : "pending", mine.text,
               mine.reason, ended);
  }
  void leave() {
    static_cast<void>(system_.release_waiting());
    system_.refuse_waiting();
    for (const auto& each : answers_)
      while (!each->ended)
        sleep_for(kStep);
    const auto removed = system_.remove_all();
    if (!removed) fmt::print("left\t{}\n", removed.error().what);
  }

 private:
  std::string ended_since() {
    std::string text;
    for (std::size_t i = 0; i + 1 < answers_.size(); ++i) {
      Answer& each = *answers_[i];
      if (!each.ended || each.told) continue;
      each.told = true;
      fmt::format_to(std::back_inserter(text), "{}{}={}", text.empty() ? "" : " ", i, each.outcome);
    }
    return text;
  }

  static bool waits_by_itself(std::string_view line) {
    return line.starts_with("wait ") || line.starts_with("settle ");
  }

  // VERB DEVICE ...
  Answer act(std::string_view line) {
    const Words words = dm::split_words(line);
    const std::string_view verb = words[0];
    if (verb == "wait") {   // MILLISECONDS
      sleep_for(std::chrono::milliseconds{number(words[1])});
      return answer(Result<void>{});
    }
    const std::string_view device = words[1];
    const bool noflush = words.size() > 2 && words.back() == "noflush";
    const SuspendKind kind = noflush ? SuspendKind::noflush : SuspendKind::flush;
    if (verb == "create") return answer(system_.create(device));
    if (verb == "load") return answer(load(device, rest_after(line, 2)));
    if (verb == "clear") return answer(system_.clear(device));
    if (verb == "suspend") return answer(system_.suspend(device, kind));
    if (verb == "resume") return answer(system_.resume(device, kind));
    if (verb == "remove") return answer(system_.remove(device));
    if (verb == "rename") return answer(system_.rename(device, words[2]));
    if (verb == "message")   // DEVICE SECTOR TEXT
      return answer(system_.message(device, Sector{number(words[2])}, rest_after(line, 3)));
    if (verb == "status")
      return answer(system_.status(device, noflush ? io::StatusCommit::no : io::StatusCommit::yes));
    if (verb == "table") return answer(system_.table(device));
    if (verb == "info") return answer(info(device));
    if (verb == "settle") return answer(settle(device));
    return request(verb, device, words);
  }

  // `|` between targets.
  Result<void> load(std::string_view device, std::string_view table) {
    std::string text{table};
    for (char& each : text)
      if (each == '|') each = '\n';
    return system_.load(device, text);
  }

  Result<std::string> info(std::string_view device) {
    ENGINE_TRY_ASSIGN(const dm::DeviceInfo found, system_.info(device));
    return fmt::format(
        "{}{}{} open={} events={} sectors={}", found.suspended ? "SUSPENDED" : "ACTIVE",
        found.has_live_table ? " LIVE" : "", found.has_inactive_table ? " INACTIVE" : "",
        found.open_count, found.events, found.sectors);
  }

  // Until nothing in the cache is dirty, but not for ever. Tells how much is.
  Result<std::string> settle(std::string_view device) {
    constexpr std::size_t kDirtyWord = 13;
    std::string dirty;
    for (int i = 0; i < 500 && dirty != "0"; ++i) {
      if (i != 0) sleep_for(std::chrono::milliseconds{20});
      ENGINE_TRY_ASSIGN(const std::string line, system_.status(device, io::StatusCommit::no));
      const Words words = dm::split_words(line);
      if (words.size() <= kDirtyWord) return std::string{"no cache"};
      dirty = words[kDirtyWord];
    }
    return dirty;
  }

  // VERB DEVICE FIRST_PAGE PAGES [BYTE]
  Answer request(std::string_view verb, std::string_view device, const Words& words) {
    const auto opened = system_.open(device);
    if (!opened) return answer(Result<void>{Failure{opened.error()}});
    BlockDevice& target = opened->device();
    if (target.limits().sectors == 0)
      return {.outcome = "beyond_the_end", .text = {}, .reason = {}};
    if (verb == "flush") return answer(flush_and_wait(target));
    Bio bio;
    bio.sector = Sector{number(words[2]) * kPageSectors};
    bio.sectors = number(words[3]) * kPageSectors;
    if (bio.sector_end().value() > target.limits().sectors)
      return {.outcome = "beyond_the_end", .text = {}, .reason = {}};
    AlignedBuffer buffer;
    if (verb == "discard") {
      // What asks for one looks at the limits of the whole device.
      if (target.limits().discard_sectors_max == 0)
        return answer(Result<void>{fail(Errc::not_supported)});
      bio.op = BioOp::discard;
      return answer(submit_and_wait(target, bio));
    }
    buffer = AlignedBuffer{bio.size_bytes()};
    bio.data = buffer.data();
    if (verb == "write") {
      std::memset(buffer.data(), static_cast<int>(number(words[4])), buffer.size());
      bio.op = BioOp::write;
      return answer(submit_and_wait(target, bio));
    }
    bio.op = BioOp::read;
    const auto done = submit_and_wait(target, bio);
    if (!done) return answer(done);
    return {.outcome = "ok", .text = describe(buffer.bytes()), .reason = {}};
  }

  sim::Execution& execution_;
  thin::ThinTargets thin_;
  cache::CacheTargets cache_;
  dm::System system_;
  std::vector<std::unique_ptr<Answer>> answers_;
};

Settings settings_of(const Words& words) {
  Settings settings;
  for (const std::string_view word : words)
    if (word.starts_with("no_space_timeout="))
      settings.pool.no_space_timeout = std::chrono::seconds{number(rest_after(word, 0).substr(17))};
  return settings;
}

// True: the tank has found nothing.
bool run(const std::vector<std::string>& lines) {
  const Words head = dm::split_words(lines.front());
  fmt::print("sequence {}\n", head[1]);
  sim::Execution execution{{.seed = 1}};
  Disks disks{execution};
  const sim::Outcome& outcome = execution.run([&] {
    Operator subject{execution, disks, settings_of(head)};
    for (auto line = lines.begin() + 1; line != lines.end(); ++line)
      subject.act_and_tell(*line);
    subject.leave();
  });
  if (!outcome.finding) return true;
  fmt::print("finding\t{}\n",
             on_one_line(outcome.finding->place + ": " + outcome.finding->message));
  return false;
}

}   // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  std::ifstream file{argv[1]};
  std::vector<std::vector<std::string>> sequences;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("sequence ")) sequences.emplace_back();
    if (!line.empty() && !sequences.empty()) sequences.back().push_back(line);
  }
  bool clean = true;
  for (const auto& sequence : sequences)
    clean &= run(sequence);
  return clean ? 0 : 1;
}
