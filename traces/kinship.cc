#include "traces/kinship.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "traces/wording.h"

namespace traces {
namespace {

// Blocks named beyond that many make everything a relative.
constexpr std::size_t kBlocksMax = 4;
constexpr std::size_t kLastObjects = 3;

std::optional<std::uint64_t> number_at(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  return value;
}

// The number after each occurrence of `key`, with the text from there on.
template <typename Found>
void each_number(std::string_view text, std::string_view key, Found&& found) {
  for (std::size_t at = text.find(key); at != std::string_view::npos; at = text.find(key, at + 1)) {
    const std::string_view rest = text.substr(at + key.size());
    if (const auto value = number_at(rest)) found(*value, rest);
  }
}

bool changes_data(const IoLife& io) {
  return engine::changes_data(io.op);
}

}   // namespace

Kinship::Kinship(const RunModel& run) : run_{run} {
  find_failing_fiber();
  read_message();
  find_inversion();
  if (culprit_ == kNone) find_overlap();
  if (culprit_ == kNone) find_named_place();
  follow_mappings();
  find_objects();
}

// "pool.worker#2": name and age, which the tank's fiber ids hold in their low bits.
void Kinship::find_failing_fiber() {
  const Trace& trace = run_.trace();
  if (!trace.events.empty()) failing_fiber_ = trace.events.back().fiber;
  const std::string_view told = trace.defect.fiber;
  const std::size_t hash = told.rfind('#');
  if (hash == std::string_view::npos) return;
  const auto ordinal = number_at(told.substr(hash + 1));
  for (const Fiber& fiber : trace.fibers) {
    const bool named = std::string_view{fiber.name}.starts_with(told.substr(0, hash));
    if (named && ordinal && (fiber.id & ((1U << 22U) - 1)) == *ordinal) {
      failing_fiber_ = fiber.id;
      return;
    }
  }
}

// Checkers name blocks in three ways: "thin 0 sector 128", "data block 3" and, of the data disk,
// ranges of sectors "[128, 256)".
void Kinship::read_message() {
  const Trace& trace = run_.trace();
  if (!trace.failed) return;
  const std::string_view message = trace.defect.message;
  each_number(message, "thin ", [&](std::uint64_t thin, std::string_view rest) {
    std::string_view tail = rest.substr(fmt::format_int{thin}.size());
    if (tail.starts_with(" sector ")) {
      if (const auto sector = number_at(tail.substr(8)))
        virtual_.insert({thin, *sector / run_.block_sectors()});
    } else if (tail.starts_with(" block ")) {
      if (const auto block = number_at(tail.substr(7))) virtual_.insert({thin, *block});
    }
  });
  each_number(message, "data block ",
              [&](std::uint64_t block, std::string_view) { data_.insert(block); });
  if (!message.starts_with("data: ")) return;
  each_number(message, "[", [&](std::uint64_t sector, std::string_view) {
    data_.insert(sector / run_.block_sectors());
  });
}

// Two changes of one range that took effect in the other order than they were submitted in.
void Kinship::find_inversion() {
  const IoLife* best_first = nullptr;
  const IoLife* best_second = nullptr;
  const auto weight = [&](const IoLife& io) {
    const bool known = data_.contains(io.sector / run_.block_sectors());
    return (io.op == engine::BioOp::discard ? 1 : 0) + (known ? 2 : 0);
  };
  const std::vector<IoLife>& ios = run_.ios();
  for (std::size_t i = 0; i < ios.size(); ++i) {
    const IoLife& first = ios[i];
    if (!first.disk || first.device == "metadata" || !changes_data(first) || first.effect == kNone)
      continue;
    for (std::size_t k = i + 1; k < ios.size() && ios[k].submit < first.effect; ++k) {
      const IoLife& second = ios[k];
      if (!changes_data(second) || !second.overlaps(first) || second.effect >= first.effect)
        continue;
      if (best_first != nullptr && weight(*best_first) > weight(first)) continue;
      best_first = &first;
      best_second = &second;
    }
  }
  if (best_first == nullptr) return;
  explanation_ = fmt::format("The {} was submitted first and took effect last, over the {}.",
                             io_words(run_, *best_first), io_words(run_, *best_second));
  culprit_ = best_first->effect;
  if (data_.size() < kBlocksMax) data_.insert(best_first->sector / run_.block_sectors());
}

// The last change submitted over a range that another one, of another kind, still worked on.
void Kinship::find_overlap() {
  if (!run_.trace().failed) return;
  const std::vector<IoLife>& ios = run_.ios();
  for (std::size_t k = ios.size(); k-- > 0;) {
    const IoLife& second = ios[k];
    if (!second.disk || second.device == "metadata" || !changes_data(second)) continue;
    for (std::size_t i = k; i-- > 0;) {
      const IoLife& first = ios[i];
      const bool discards =
          (first.op == engine::BioOp::discard) != (second.op == engine::BioOp::discard);
      if (!discards || !changes_data(first) || !first.overlaps(second) ||
          first.complete < second.submit)
        continue;
      explanation_ = fmt::format("The {} was still under way when the {} was submitted.",
                                 io_words(run_, first), io_words(run_, second));
      culprit_ = second.submit;
      if (data_.size() < kBlocksMax) data_.insert(second.sector / run_.block_sectors());
      return;
    }
  }
}

// "... entered at engine/thin/pool_worker.cc:77": what the failing fiber did there.
void Kinship::find_named_place() {
  const Trace& trace = run_.trace();
  for (std::size_t i = trace.events.size(); i-- > 0;) {
    const Event& e = trace.events[i];
    if (e.fiber != failing_fiber_ || e.file.empty()) continue;
    const std::string at = place(e.file, e.line);
    const std::size_t found = trace.defect.message.find(at);
    if (found == std::string::npos) continue;
    const std::string_view rest = std::string_view{trace.defect.message}.substr(found + at.size());
    if (!rest.empty() && rest.front() >= '0' && rest.front() <= '9') continue;
    culprit_ = i;
    explain_section(e);
    return;
  }
}

// "F is still inside what it entered at P."
void Kinship::explain_section(const Event& entry) {
  std::string_view what = "the lock that it took";
  if (entry.op == "rcu_read_lock") {
    what = "the read section that it entered";
  } else if (entry.op != "spin_lock") {
    return;
  }
  in_section_ = true;
  explanation_ =
      fmt::format("{} is still inside {} at {} when it comes to something that may have to wait.",
                  run_.fiber_name(entry.fiber), what, place(entry.file, entry.line));
}

// Where the blocks of the finding were mapped, and who else had them.
void Kinship::follow_mappings() {
  for (int round = 0; round < 2; ++round) {
    for (const Event& e : run_.trace().events) {
      if (e.op != "mapping_insert") continue;
      const VirtualBlock block{e.a, e.b};
      if (round == 0 && virtual_.contains(block) && data_.size() < kBlocksMax) data_.insert(e.c);
      if (round == 1 && data_.contains(e.c) && virtual_.size() < 2 * kBlocksMax)
        virtual_.insert(block);
    }
  }
}

// That threads of a program begin and end is no part of what they do to each other.
bool Kinship::is_of_threads(const Event& e) const {
  return run_.is_end_of_thread(e.object_id) || e.object.starts_with("fiber ");
}

void Kinship::find_objects() {
  const Trace& trace = run_.trace();
  // Reports write objects as name@id.
  each_number(trace.defect.detail, "@", [&](std::uint64_t id, std::string_view) {
    objects_.insert(static_cast<std::uint32_t>(id));
  });
  // A checker speaks up afterwards: who runs then has no part in it.
  if (!objects_.empty() || has_blocks() || trace.defect.kind == "checker") return;
  // Who is stopped on the way to an object is stopped for what others do to it.
  for (const Decision& d : trace.decisions) {
    const std::size_t event = d.deviation && trace.of_program() ? run_.event_put_off(d) : kNone;
    if (event != kNone) objects_.insert(trace.events[event].object_id);
  }
  const std::size_t most = objects_.size() + kLastObjects;
  for (auto e = trace.events.rbegin(); e != trace.events.rend(); ++e) {
    if (objects_.size() >= most) return;
    if (e->fiber == failing_fiber_ && e->object_id != 0 && !e->object.starts_with("device") &&
        !(trace.of_program() && is_of_threads(*e)))
      objects_.insert(e->object_id);
  }
}

bool Kinship::touches_block(std::size_t event) const {
  const Event& e = run_.trace().events[event];
  const std::uint64_t unit = run_.block_sectors();
  if (const IoLife* const io = run_.io_of_event(event)) {
    if (io->sectors == 0) return false;
    if (io->disk) {
      if (io->device == "metadata") return false;
      return std::any_of(data_.begin(), data_.end(),
                         [&](std::uint64_t block) { return io->overlaps(block * unit, unit); });
    }
    const auto thin = run_.thin_of_device(io->device_id);
    return thin && std::any_of(virtual_.begin(), virtual_.end(), [&](const VirtualBlock& block) {
             return block.first == *thin && io->overlaps(block.second * unit, unit);
           });
  }
  const auto in_data_range = [&](std::uint64_t first, std::uint64_t count) {
    const auto found = data_.lower_bound(first);
    return found != data_.end() && *found - first < std::max<std::uint64_t>(count, 1);
  };
  const auto in_virtual_range = [&](std::uint64_t thin, std::uint64_t first, std::uint64_t count) {
    const auto found = virtual_.lower_bound({thin, first});
    return found != virtual_.end() && found->first == thin &&
           found->second - first < std::max<std::uint64_t>(count, 1);
  };
  if (e.op == "data_block_alloc" || e.op == "data_block_ref") return in_data_range(e.a, 1);
  if (e.op == "mapping_insert") return data_.contains(e.c) || virtual_.contains({e.a, e.b});
  if (e.op == "mapping_remove") return in_virtual_range(e.a, e.b, e.c);
  if (e.op == "discard_passdown" || e.op == "discard_done") return in_data_range(e.a, e.b);
  if (e.op == "cell_detain" || e.op == "cell_release")
    return e.a >> 32U != 0 ? in_data_range(e.b, 1) : in_virtual_range(e.a & 0xFFFFFFFFU, e.b, 1);
  return false;
}

bool Kinship::touches_object(std::size_t event) const {
  return objects_.contains(run_.trace().events[event].object_id);
}

}   // namespace traces
