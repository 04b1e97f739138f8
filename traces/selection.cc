#include "traces/selection.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "traces/kinship.h"
#include "traces/outline.h"

namespace traces {
namespace {

struct Weight {
  std::string_view op;
  int weight;
};
// How much an event tells to somebody who wants to know what happened to data, before anything is
// known of the finding.
constexpr Weight kWeights[] = {
    {kLeftOut, 1000},       {"mode_change", 60},    {"discard_passdown", 55},
    {"mapping_remove", 55}, {"mapping_insert", 50}, {"data_block_alloc", 50},
    {"discard_done", 50},   {"note", 40},           {"control", 30},
    {"data_block_ref", 30}, {"commit_end", 28},     {"rcu_synchronize", 20},
    {"commit_begin", 8},    {"control_done", 12},   {"cell_detain", 4},
    {"cell_release", 4},    {"timer_fire", 10},     {"fiber_exit", 5},
    {"fiber_spawn", 4},     {"completion_wait", 3}, {"rcu_read_lock", 3},
    {"rcu_read_unlock", 3}, {"ref_get", 3},         {"ref_put", 3},
    {"mutex_lock", 2},      {"write_lock", 2},      {"read_lock", 2},
};
constexpr int kUnrelatedShare = 3;   // one in so many, once it is known which blocks matter
constexpr int kBlockBonus = 60;
constexpr int kObjectBonus = 45;
constexpr std::size_t kObjectEvents = 10;
constexpr std::size_t kObjectEventsOfProgram = 15;   // which has nothing else to show
constexpr int kLastStepsBonus = 30;
constexpr std::size_t kLastSteps = 8;   // of the failing fiber
constexpr int kRecency = 15;
constexpr int kLeast = 12;   // what weighs less is never shown

class Selector {
 public:
  Selector(const RunModel& run, const SelectionLimits& limits)
      : run_{run}, trace_{run.trace()}, limits_{limits}, kin_{run} {}

  Selection select() {
    number_decisions();
    weigh_events();
    take_heaviest();
    add_decisions();
    add_failure();
    keep_lanes();
    out_.explanation = kin_.explanation();
    out_.culprit = kin_.culprit();
    out_.in_section = kin_.in_section();
    return std::move(out_);
  }

 private:
  // Disks after all fibers; 0 is no disk.
  using LaneKey = std::tuple<int, std::uint32_t>;

  struct Candidate {
    std::size_t event;
    int weight;
    bool related;
  };

  [[nodiscard]] LaneKey lane_of_fiber(std::uint32_t fiber) const {
    const std::string_view disk = run_.disk_of_fiber(fiber);
    if (!disk.empty()) return lane_of_disk(disk);
    const std::string name = run_.fiber_name(fiber);
    const int group = name == "main"              ? 0
                      : name.starts_with("actor") ? 1
                      : fiber >> 30U == 0         ? 2
                                                  : 3;
    return {group, fiber};
  }
  [[nodiscard]] LaneKey lane_of_disk(std::string_view disk) const {
    const auto& disks = run_.disks();
    const auto found = std::find(disks.begin(), disks.end(), disk);
    const auto index = static_cast<std::uint32_t>(found - disks.begin());
    return {disk == "metadata" ? 5 : 4, index};
  }
  [[nodiscard]] LaneKey lane_of_event(std::size_t i) const {
    const IoLife* const io = run_.io_of_event(i);
    if (io != nullptr && i != io->submit)
      return io->disk ? lane_of_disk(io->device) : lane_of_fiber(trace_.events[io->submit].fiber);
    return lane_of_fiber(trace_.events[i].fiber);
  }

  [[nodiscard]] static int weight_of_io(const IoLife& io, std::size_t event) {
    const bool flush = io.op == engine::BioOp::flush;
    if (!io.disk) return event == io.submit ? 45 : 32;
    if (io.device == "metadata") return flush && event == io.effect ? 10 : 2;
    if (event == io.complete) return io.status != 0 ? 40 : 4;   // the bar's end shows it
    return flush ? 10 : 42;
  }

  [[nodiscard]] int base_weight(std::size_t i) const {
    const Event& e = trace_.events[i];
    if (const IoLife* const io = run_.io_of_event(i)) return weight_of_io(*io, i);
    if (e.op == "cell_detain" && e.c == 0) return 45;
    if (e.op == "fiber_park") {
      const bool lock = e.object.starts_with("mutex") || e.object.starts_with("rw_lock") ||
                        e.object.starts_with("spin_lock");
      return lock ? 25 : 4;
    }
    for (const Weight& weight : kWeights) {
      if (weight.op == e.op) return weight.weight;
    }
    return 1;
  }

  [[nodiscard]] bool under_way(std::size_t event) const {
    const IoLife* const io = run_.io_of_event(event);
    return io != nullptr && io->complete == kNone;
  }

  // Which decisions get a number: all, or of many those that touch what matters and the last ones.
  void number_decisions() {
    std::vector<std::pair<int, std::size_t>> ranked;
    for (std::size_t i = 0; i < trace_.decisions.size(); ++i) {
      const Decision& d = trace_.decisions[i];
      if (!d.deviation) continue;
      int rank = d.put_aside ? 1 : 0;
      const IoLife* const io = run_.io_of_decision(d);
      if (io != nullptr && kin_.touches_block(io->submit)) rank += 2;
      ranked.emplace_back(rank, i);
    }
    if (ranked.size() > limits_.decisions_max) {
      out_.decisions_left_out = ranked.size() - limits_.decisions_max;
      std::sort(ranked.begin(), ranked.end(), std::greater<>{});
      ranked.resize(limits_.decisions_max);
      std::sort(ranked.begin(), ranked.end(),
                [](const auto& a, const auto& b) { return a.second < b.second; });
    }
    for (const auto& [rank, decision] : ranked)
      out_.decisions.push_back({out_.decisions.size() + 1, decision});
  }

  void weigh_events() {
    const std::size_t count = trace_.events.size();
    std::size_t last_steps = 0;
    std::size_t object_events = 0;
    const bool told_afterwards = trace_.defect.kind == "checker";
    const std::size_t object_events_max =
        trace_.of_program() ? kObjectEventsOfProgram : kObjectEvents;
    for (std::size_t i = count; i-- > 0;) {
      if (run_.is_echo(i)) continue;
      const Event& e = trace_.events[i];
      int weight = base_weight(i);
      const bool block = kin_.touches_block(i);
      // Of what happened to a lock, only the last counts.
      const bool object = kin_.touches_object(i) && object_events < object_events_max;
      object_events += object ? 1 : 0;
      if (kin_.has_blocks() && !block) weight /= kUnrelatedShare;
      // What is over has no part in what a fiber does now; a request under way may have.
      if (kin_.in_section() && !object && !under_way(i)) weight /= kUnrelatedShare;
      if (block && weight > 5) weight += kBlockBonus;
      if (object) weight += kObjectBonus;
      if (!kin_.has_blocks() && !told_afterwards && e.fiber == kin_.failing_fiber() &&
          last_steps < kLastSteps) {
        ++last_steps;
        weight += kLastStepsBonus;
      }
      weight += static_cast<int>(kRecency * i / count);
      if (weight >= kLeast + kRecency) candidates_.push_back({i, weight, block || object});
    }
  }

  Row& add_event(std::size_t event, bool related) {
    for (Row& row : out_.rows) {
      if (row.kind == RowKind::event && row.index == event) return row;
    }
    out_.rows.push_back({.kind = RowKind::event,
                         .index = event,
                         .lane = lane(lane_of_event(event)),
                         .related = related,
                         .position = 2 * event + 1,
                         .point = trace_.events[event].point});
    return out_.rows.back();
  }

  std::size_t lane(const LaneKey& key) { return lanes_.emplace(key, lanes_.size()).first->second; }

  void take_heaviest() {
    std::stable_sort(candidates_.begin(), candidates_.end(),
                     [](const Candidate& a, const Candidate& b) { return a.weight > b.weight; });
    // Without blocks to follow, what came before the last steps is hardly more than scenery.
    const std::size_t most = kin_.has_blocks() ? limits_.rows_max : limits_.rows_max * 2 / 3;
    if (candidates_.size() > most) candidates_.resize(most);
    for (const Candidate& candidate : candidates_)
      add_event(candidate.event, candidate.related);
    if (kin_.culprit() != kNone) add_event(kin_.culprit(), true);
  }

  void add_decisions() {
    for (const auto& [number, index] : out_.decisions) {
      const Decision& d = trace_.decisions[index];
      const IoLife* const io = run_.io_of_decision(d);
      const std::size_t event = io == nullptr          ? kNone
                                : d.kind == "effect"   ? io->effect
                                : d.kind == "complete" ? io->complete
                                                       : kNone;
      if (event != kNone) {
        Row& row = add_event(event, kin_.touches_block(event));
        if (row.number == 0) row.number = number;
        continue;
      }
      const bool to_lane = d.kind == "run" && !d.put_aside;
      const std::uint64_t before = std::min<std::uint64_t>(d.events_before, trace_.events.size());
      out_.rows.push_back({.kind = RowKind::decision,
                           .index = index,
                           .lane = lane(lane_of_fiber(to_lane ? d.to : d.from)),
                           .number = number,
                           .position = static_cast<std::size_t>(2 * before),
                           .point = d.point});
    }
    std::stable_sort(out_.rows.begin(), out_.rows.end(), [](const Row& a, const Row& b) {
      return std::tie(a.position, a.number) < std::tie(b.position, b.number);
    });
  }

  void add_failure() {
    if (!trace_.failed) return;
    out_.rows.push_back({.kind = RowKind::failure,
                         .lane = lane(lane_of_fiber(kin_.failing_fiber())),
                         .related = true,
                         .position = 2 * trace_.events.size() + 1,
                         .point = trace_.defect.point});
  }

  // Left to right by their keys; the least telling ones go when there are too many.
  void keep_lanes() {
    std::vector<int> worth(lanes_.size(), 0);
    for (const Row& row : out_.rows)
      worth[row.lane] += row.kind == RowKind::failure ? 1000
                         : row.number != 0            ? 100
                         : row.related                ? 10
                                                      : 1;
    std::vector<int> ranked = worth;
    std::sort(ranked.begin(), ranked.end(), std::greater<>{});
    const int least = ranked.size() > limits_.lanes_max ? ranked[limits_.lanes_max - 1] : 0;
    std::vector<std::size_t> place(lanes_.size(), kNone);
    for (const auto& [key, old] : lanes_) {
      if (worth[old] < least || out_.lanes.size() == limits_.lanes_max) continue;
      place[old] = out_.lanes.size();
      out_.lanes.push_back(describe(key));
    }
    std::erase_if(out_.rows, [&](const Row& row) { return place[row.lane] == kNone; });
    for (Row& row : out_.rows)
      row.lane = place[row.lane];
  }

  [[nodiscard]] Lane describe(const LaneKey& key) const {
    const auto [group, id] = key;
    if (group >= 4) return {LaneKind::disk, 0, "disk " + run_.disks()[id], "I/Os under way"};
    Lane lane{LaneKind::fiber, id, run_.fiber_name(id), {}};
    if (lane.name == "main" && !trace_.of_program()) lane.role = "set-up and checks";
    // "actor b" runs the workload's second actor.
    constexpr std::string_view kActor = "actor ";
    if (lane.name.starts_with(kActor) && lane.name.size() == kActor.size() + 1) {
      const auto wanted = static_cast<std::size_t>(lane.name.back() - 'a');
      std::size_t seen = 0;
      for (const OutlineActor& actor : outline_.actors) {
        if (actor.name != "setup" && seen++ == wanted) lane.role = actor.name;
      }
    }
    return lane;
  }

  const RunModel& run_;
  const Trace& trace_;
  SelectionLimits limits_;
  Kinship kin_;
  WorkloadOutline outline_ = outline_of(trace_.workload);
  std::vector<Candidate> candidates_;
  std::map<LaneKey, std::size_t> lanes_;
  Selection out_;
};

}   // namespace

Selection select_rows(const RunModel& run, const SelectionLimits& limits) {
  return Selector{run, limits}.select();
}

}   // namespace traces
