#include "traces/run_model.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace traces {
namespace {

// The value of `key = N` in the workload's TOML. Not worth a parser: a picture's captions depend on
// it, nothing else.
std::uint64_t number_in(std::string_view toml, std::string_view key, std::uint64_t otherwise) {
  for (std::size_t at = toml.find(key); at != std::string_view::npos; at = toml.find(key, at + 1)) {
    if (at != 0 && toml[at - 1] != '\n') continue;
    std::string_view rest = toml.substr(at + key.size());
    if (!rest.starts_with(" = ")) continue;
    rest.remove_prefix(3);
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
    if (error == std::errc{} && value != 0) return value;
  }
  return otherwise;
}

engine::BioOp op_of(std::uint64_t code) {
  constexpr std::uint64_t kLast = static_cast<std::uint64_t>(engine::BioOp::flush);
  return static_cast<engine::BioOp>(std::min(code & 0xFFU, kLast));
}

// The tank numbers fibers by age, and an I/O's by its submission to the device (sim/actor.h).
constexpr std::uint32_t kOrdinalMask = (1U << 22U) - 1;

std::optional<std::uint64_t> ordinal_in(std::uint32_t actor) {
  constexpr std::uint32_t kIo = 1;
  if (actor >> 30U != kIo) return std::nullopt;
  return actor & kOrdinalMask;
}

// "data #3" -> "data".
std::string_view without_ordinal(std::string_view name) {
  return name.substr(0, name.find(" #"));
}

}   // namespace

std::string_view object_name(std::string_view object) noexcept {
  const std::size_t blank = object.find(' ');
  return blank == std::string_view::npos ? object : object.substr(blank + 1);
}

RunModel::RunModel(const Trace& trace) : trace_{trace} {
  block_sectors_ = number_in(trace.workload, "block_sectors", 128);
  for (const Fiber& fiber : trace.fibers)
    fibers_.emplace(fiber.id, &fiber);
  find_disks();
  follow_ios();
  find_thins();
  find_echoes();
  if (trace.of_program()) find_namesakes();
}

void RunModel::find_namesakes() {
  std::set<std::string_view> once;
  for (const Fiber& fiber : trace_.fibers) {
    const std::string_view name = without_ordinal(fiber.name);
    if (!once.insert(name).second) fibers_of_one_name_.emplace(name);
  }
  std::map<std::string_view, std::uint32_t> first;
  for (const Event& event : trace_.events) {
    if (event.op == "thread_start") ends_of_threads_.insert(event.object_id);
    if (event.object_id == 0 || is_end_of_thread(event.object_id)) continue;
    const auto [found, is_new] = first.emplace(event.object, event.object_id);
    if (found->second != event.object_id) objects_of_one_name_.insert(event.object);
  }
}

std::string RunModel::object_words(const Event& event) const {
  std::string words{object_name(event.object)};
  if (objects_of_one_name_.contains(event.object)) words += fmt::format("@{}", event.object_id);
  return words;
}

std::size_t RunModel::event_put_off(const Decision& decision) const noexcept {
  const std::string_view object = object_name(decision.stopped_at);
  if (!decision.put_aside || object == decision.stopped_at) return kNone;
  for (std::size_t i = decision.events_before; i < trace_.events.size(); ++i) {
    const Event& event = trace_.events[i];
    if (event.fiber == decision.from) return object_name(event.object) == object ? i : kNone;
  }
  return kNone;
}

void RunModel::find_disks() {
  for (const Event& event : trace_.events) {
    if (!event.op.starts_with("bio_")) continue;
    const std::string_view name = object_name(event.object);
    const bool disk = event.op == "bio_effect" || name == "data" || name == "metadata";
    if (disk && std::find(disks_.begin(), disks_.end(), name) == disks_.end())
      disks_.emplace_back(name);
  }
  for (const Fiber& fiber : trace_.fibers) {
    const std::string_view name = without_ordinal(fiber.name);
    if (std::find(disks_.begin(), disks_.end(), name) != disks_.end())
      disk_fibers_.emplace(fiber.id, name);
  }
}

// Which of the candidates the event is about. The actor's ordinal says it where there is one; else
// the oldest of the same range.
std::size_t RunModel::in_flight(const std::vector<std::size_t>& candidates, const Event& event,
                                std::uint32_t actor, bool ending) const noexcept {
  const auto ordinal = ordinal_in(actor);
  std::size_t found = kNone;
  for (const std::size_t index : candidates) {
    const IoLife& io = ios_[index];
    if (io.sector != event.a || io.sectors != event.b) continue;
    if (!ending && (io.effect != kNone || io.op != op_of(event.c))) continue;
    if (ordinal && io.ordinal == *ordinal) return index;
    // Among alike ones, the one that has taken effect ends first.
    const bool better =
        found == kNone || (ending && io.effect != kNone && ios_[found].effect == kNone);
    if (better) found = index;
  }
  return found;
}

void RunModel::follow_ios() {
  io_of_event_.assign(trace_.events.size(), kNone);
  std::map<std::uint32_t, std::vector<std::size_t>> under_way;   // by device
  std::map<std::uint32_t, std::uint64_t> submitted;
  std::size_t decision = 0;
  for (std::size_t i = 0; i < trace_.events.size(); ++i) {
    const Event& event = trace_.events[i];
    // An effect is announced by the decision just before it.
    std::uint32_t chosen = 0;
    for (; decision < trace_.decisions.size() && trace_.decisions[decision].events_before <= i;
         ++decision) {
      const Decision& d = trace_.decisions[decision];
      if (d.kind == "effect" && d.events_before == i) chosen = d.to;
    }
    std::vector<std::size_t>& candidates = under_way[event.object_id];
    std::size_t io = kNone;
    if (event.op == "bio_submit") {
      io = ios_.size();
      const std::string_view name = object_name(event.object);
      ios_.push_back({.device_id = event.object_id,
                      .device = std::string{name},
                      .disk = std::find(disks_.begin(), disks_.end(), name) != disks_.end(),
                      .op = op_of(event.c),
                      .fua = (event.c & 0x100U) != 0,
                      .sector = event.a,
                      .sectors = event.b,
                      .ordinal = ++submitted[event.object_id],
                      .submit = i});
      candidates.push_back(io);
    } else if (event.op == "bio_effect") {
      io = in_flight(candidates, event, chosen, false);
      if (io != kNone) {
        ios_[io].effect = i;
        if (chosen != 0) ios_[io].actor = chosen;
      }
    } else if (event.op == "bio_complete") {
      io = in_flight(candidates, event, event.fiber, true);
      if (io != kNone) {
        ios_[io].complete = i;
        ios_[io].status = event.c;
        if (is_io_fiber(event.fiber)) ios_[io].actor = event.fiber;
        candidates.erase(std::find(candidates.begin(), candidates.end(), io));
      }
    }
    io_of_event_[i] = io;
    if (io != kNone && ios_[io].actor != 0 && ios_[io].disk) io_of_actor_[ios_[io].actor] = io;
  }
}

// Whoever submits to a mapped device goes on to take the cell of that thin's block.
void RunModel::find_thins() {
  std::map<std::uint32_t, const IoLife*> last;   // by fiber
  for (std::size_t i = 0; i < trace_.events.size(); ++i) {
    const Event& event = trace_.events[i];
    if (event.op == "bio_submit") {
      const IoLife* const io = io_of_event(i);
      last[event.fiber] = io != nullptr && !io->disk && io->sectors != 0 ? io : nullptr;
    } else if (event.op == "cell_detain" && event.a >> 32U == 0) {
      const auto found = last.find(event.fiber);
      if (found == last.end() || found->second == nullptr) continue;
      if (found->second->sector / block_sectors_ == event.b)
        thins_.emplace(found->second->device_id, event.a);
      found->second = nullptr;
    }
  }
}

void RunModel::find_echoes() {
  static constexpr std::string_view kToldTwice[] = {"data_block_alloc", "mapping_insert",
                                                    "mapping_remove", "commit_begin", "commit_end"};
  echo_.assign(trace_.events.size(), false);
  // By fiber and kind: the last one, until something else of the kind happens.
  std::map<std::pair<std::uint32_t, std::string_view>, const Event*> told;
  std::map<std::uint32_t, std::uint64_t> commits;   // by fiber: begun and not ended
  for (std::size_t i = 0; i < trace_.events.size(); ++i) {
    const Event& event = trace_.events[i];
    if (std::find(std::begin(kToldTwice), std::end(kToldTwice), event.op) == std::end(kToldTwice))
      continue;
    if (event.op == "commit_begin") {
      echo_[i] = ++commits[event.fiber] > 1;
      continue;
    }
    if (event.op == "commit_end") {
      std::uint64_t& open = commits[event.fiber];
      if (open != 0) --open;
      echo_[i] = open != 0;
      continue;
    }
    const Event*& before = told[{event.fiber, event.op}];
    echo_[i] = before != nullptr && before->object_id != event.object_id && before->a == event.a &&
               before->b == event.b && before->c == event.c;
    before = echo_[i] ? nullptr : &event;
  }
}

const IoLife* RunModel::io_of_event(std::size_t index) const noexcept {
  if (index >= io_of_event_.size() || io_of_event_[index] == kNone) return nullptr;
  return &ios_[io_of_event_[index]];
}

const IoLife* RunModel::io_of_decision(const Decision& decision) const noexcept {
  const auto found = io_of_actor_.find(decision.to);
  return found == io_of_actor_.end() ? nullptr : &ios_[found->second];
}

std::string RunModel::fiber_name(std::uint32_t id) const {
  const auto found = fibers_.find(id);
  if (found != fibers_.end()) {
    const std::string& name = found->second->name;
    const std::string_view shared = without_ordinal(name);
    if (!fibers_of_one_name_.contains(shared)) return name;
    return fmt::format("{}#{}", shared, id & kOrdinalMask);
  }
  const auto io = io_of_actor_.find(id);
  if (io != io_of_actor_.end())
    return fmt::format("{} #{}", ios_[io->second].device, ios_[io->second].ordinal);
  return id == 0 ? "the tank" : fmt::format("fiber {}", id);
}

bool RunModel::is_io_fiber(std::uint32_t id) const noexcept {
  return disk_fibers_.contains(id);
}

std::string_view RunModel::disk_of_fiber(std::uint32_t id) const noexcept {
  const auto found = disk_fibers_.find(id);
  return found == disk_fibers_.end() ? std::string_view{} : std::string_view{found->second};
}

std::optional<std::uint64_t> RunModel::thin_of_device(std::uint32_t object_id) const noexcept {
  const auto found = thins_.find(object_id);
  if (found == thins_.end()) return std::nullopt;
  return found->second;
}

}   // namespace traces
