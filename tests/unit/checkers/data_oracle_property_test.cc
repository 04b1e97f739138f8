// The data oracle, which keeps runs of sectors, against one that keeps every sector by itself: the
// same findings, word for word, whatever is asked of them in whatever order.
#include <array>
#include <cstring>
#include <ostream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "tests/unit/checkers/naive_oracle.h"

namespace checkers {
namespace {

constexpr std::size_t kSector = 512;
constexpr std::uint64_t kSectors = 24;
constexpr std::uint32_t kDevices = 3;

enum class Op : std::uint8_t {
  write,
  zero,
  discard,
  read,
  flush,
  end,
  begin_snapshot,
  snapshot,
  end_snapshot,
  create,
  remove,
  closed,
  power_cut,
};
constexpr const char* kNames[] = {"write",  "zero",           "discard",  "read",         "flush",
                                  "end",    "begin_snapshot", "snapshot", "end_snapshot", "create",
                                  "remove", "closed",         "power_cut"};

struct Step {
  Op op{};
  std::uint32_t device = 0;
  std::uint64_t sector = 0;
  std::uint64_t sectors = 0;
  std::uint64_t pick = 0;   // whatever else there is to choose
};

void showValue(const Step& step, std::ostream& out) {   // NOLINT(readability-identifier-naming)
  out << kNames[static_cast<int>(step.op)] << "(" << step.device << ", " << step.sector << " + "
      << step.sectors << ", " << step.pick << ")";
}

rc::Gen<std::vector<Step>> steps() {
  const auto op = rc::gen::weightedElement<Op>({{10, Op::write},
                                                {2, Op::zero},
                                                {4, Op::discard},
                                                {8, Op::read},
                                                {4, Op::flush},
                                                {24, Op::end},
                                                {2, Op::begin_snapshot},
                                                {2, Op::snapshot},
                                                {2, Op::end_snapshot},
                                                {1, Op::create},
                                                {1, Op::remove},
                                                {1, Op::closed},
                                                {2, Op::power_cut}});
  // Short ones and long ones, and mostly on the first device.
  const auto sectors = rc::gen::oneOf(rc::gen::inRange<std::uint64_t>(0, 4),
                                      rc::gen::inRange<std::uint64_t>(4, kSectors + 1));
  const auto device = rc::gen::weightedElement<std::uint32_t>({{6, 0}, {3, 1}, {1, 2}});
  return rc::gen::container<std::vector<Step>>(
      rc::gen::construct<Step>(op, device, rc::gen::inRange<std::uint64_t>(0, kSectors), sectors,
                               rc::gen::inRange<std::uint64_t>(0, 1'000'000)));
}

std::string text(const Findings& findings) {
  std::string all;
  for (const Finding& finding : findings.list())
    all += fmt::format("[{}: {}: {}]", finding.checker, finding.kind, finding.message);
  return all;
}

void put(std::span<std::byte> sector, Stamp head, Stamp tail) {
  std::memcpy(sector.data(), &head, sizeof head);
  std::memcpy(&sector[kSector - sizeof tail], &tail, sizeof tail);
}

Stamp stamp_for(Value value, std::uint64_t sector) {
  if (value == Value::zeroes || value == Value::anything) return static_cast<Stamp>(value);
  return stamp_of(static_cast<std::uint64_t>(value), sector);
}

// Returns where they first disagreed; empty: nowhere.
class Both {
 public:
  Both(DataOracle::Options options, std::uint64_t base_sectors)
      : runs_{options}, sectors_{options}, base_{runs_.new_write_id(), base_sectors} {
    static_cast<void>(sectors_.new_write_id());
    for (std::uint32_t device = 0; device < kDevices; ++device)
      create(device, device % 2 == 0 ? base_ : DataOracle::Base{});
  }

  std::string run(const std::vector<Step>& steps) {
    for (std::size_t i = 0; i < steps.size() && wrong_.empty(); ++i) {
      step(steps[i]);
      compare(steps[i].device);
      if (!wrong_.empty()) wrong_ = fmt::format("step {}: {}", i, wrong_);
    }
    for (std::uint32_t device = 0; device < kDevices && wrong_.empty(); ++device)
      compare(device);
    return wrong_;
  }

 private:
  struct UnderWay {
    Op op{};
    DataOracle::Request in_runs;
    DataOracle::Request in_sectors;
  };

  void create(std::uint32_t device, DataOracle::Base base) {
    runs_.create(device, kSectors, base);
    sectors_.create(device, kSectors, base);
  }

  void begin(Op op, const DataOracle::Request& in_runs, const DataOracle::Request& in_sectors) {
    if (in_runs.begun != in_sectors.begun || in_runs.write_id != in_sectors.write_id)
      wrong_ = "begun differently";
    under_way_.push_back({op, in_runs, in_sectors});
  }

  void step(const Step& step) {
    const std::uint64_t sectors = std::min(step.sectors, kSectors - step.sector);
    switch (step.op) {
      case Op::write:
        return begin(step.op, runs_.begin_write(step.device, step.sector, sectors),
                     sectors_.begin_write(step.device, step.sector, sectors));
      case Op::zero:
        return begin(step.op, runs_.begin_zero(step.device, step.sector, sectors),
                     sectors_.begin_zero(step.device, step.sector, sectors));
      case Op::discard:
        return begin(step.op, runs_.begin_discard(step.device, step.sector, sectors),
                     sectors_.begin_discard(step.device, step.sector, sectors));
      case Op::read:
        return begin(step.op, runs_.begin_read(step.device, step.sector, sectors),
                     sectors_.begin_read(step.device, step.sector, sectors));
      case Op::flush:
        return begin(step.op, runs_.begin_flush(step.device), sectors_.begin_flush(step.device));
      case Op::end:
        return end(step.pick);
      case Op::begin_snapshot:
        snapshots_.push_back(runs_.begin_snapshot());
        if (sectors_.begin_snapshot() != snapshots_.back()) wrong_ = "begun differently";
        return;
      default:
        return control(step);
    }
  }

  void control(const Step& step) {
    switch (step.op) {
      case Op::snapshot: {
        if (snapshots_.empty()) return;
        const auto copy = static_cast<std::uint32_t>(step.pick % kDevices);
        runs_.snapshot(copy, step.device, snapshots_.front());
        return sectors_.snapshot(copy, step.device, snapshots_.front());
      }
      case Op::end_snapshot:
        if (snapshots_.empty()) return;
        runs_.end_snapshot(snapshots_.front());
        sectors_.end_snapshot(snapshots_.front());
        snapshots_.erase(snapshots_.begin());
        return;
      case Op::create:
        return create(step.device, step.pick % 2 == 0 ? base_ : DataOracle::Base{});
      case Op::remove:
        runs_.remove(step.device);
        return sectors_.remove(step.device);
      case Op::closed:
        runs_.closed(step.device);
        return sectors_.closed(step.device);
      default:
        runs_.power_cut();
        return sectors_.power_cut();
    }
  }

  void end(std::uint64_t pick) {
    if (under_way_.empty()) return;
    const auto chosen = under_way_.begin() + static_cast<std::ptrdiff_t>(pick % under_way_.size());
    const UnderWay ending = *chosen;
    under_way_.erase(chosen);
    const bool ok = pick / 8 % 8 != 0;
    const bool fua = pick / 64 % 4 == 0;
    switch (ending.op) {
      case Op::write:
        runs_.end_write(ending.in_runs, ok, fua);
        return sectors_.end_write(ending.in_sectors, ok, fua);
      case Op::zero:
        runs_.end_zero(ending.in_runs, ok, fua);
        return sectors_.end_write(ending.in_sectors, ok, fua);
      case Op::discard:
        runs_.end_discard(ending.in_runs);
        return sectors_.end_discard(ending.in_sectors);
      case Op::read:
        return end_read(ending, ok, made_up(ending.in_runs, pick));
      default:
        runs_.end_flush(ending.in_runs, ok);
        return sectors_.end_flush(ending.in_sectors, ok);
    }
  }

  void end_read(const UnderWay& read, bool ok, std::span<const std::byte> data) {
    Findings by_runs;
    Findings by_sectors;
    runs_.end_read(read.in_runs, ok, data, by_runs);
    sectors_.end_read(read.in_sectors, ok, data, by_sectors);
    if (text(by_runs) != text(by_sectors))
      wrong_ = fmt::format("runs say {}, sectors say {}", text(by_runs), text(by_sectors));
  }

  // What the read may return: from the past of each sector, or what one holds in all of them; and
  // sometimes rubbish in between.
  std::vector<std::byte> made_up(const DataOracle::Request& read, std::uint64_t pick) const {
    std::vector<std::byte> data(read.sectors * kSector);
    if (read.sectors == 0) return data;
    const bool alike = pick / 512 % 2 == 0;
    const auto past = [&](std::uint64_t sector, std::uint64_t choice) {
      const std::vector<Stamp> all = sectors_.stamps(read.device, sector);
      return all[choice % all.size()];
    };
    const std::uint64_t leading = read.sector + pick / 2048 % read.sectors;
    const Value everywhere = value_of(past(leading, pick / 1024), leading);
    for (std::uint64_t i = 0; i < read.sectors; ++i) {
      const std::uint64_t sector = read.sector + i;
      const Stamp stamp = alike ? stamp_for(everywhere, sector) : past(sector, pick / 1024 + i / 2);
      put(std::span{data}.subspan(i * kSector, kSector), stamp, stamp);
    }
    if (pick / 1024 % 4 != 0) return data;
    const std::uint64_t at = pick / 4096 % read.sectors;
    const std::uint64_t sector = read.sector + at;
    const std::array<Stamp, 5> rubbish = {0, sector, ~Stamp{0}, ~Stamp{0} - 1, past(sector, 0) ^ 1};
    const Stamp head = rubbish[pick % rubbish.size()];
    put(std::span{data}.subspan(at * kSector, kSector), head, head ^ (pick / 16 % 4 == 0 ? 2 : 0));
    return data;
  }

  // A torn sector is permitted only where anything is; elsewhere the finding lists all that is.
  void compare(std::uint32_t device) {
    std::array<std::byte, kSector> torn{};
    put(torn, 1, 2);
    for (std::uint64_t sector = 0; sector < kSectors && wrong_.empty(); ++sector) {
      const UnderWay read{Op::read, runs_.begin_read(device, sector, 1),
                          sectors_.begin_read(device, sector, 1)};
      end_read(read, true, torn);
    }
  }

  DataOracle runs_;
  NaiveOracle sectors_;
  DataOracle::Base base_;
  std::vector<UnderWay> under_way_;
  std::vector<Moment> snapshots_;
  std::string wrong_;
};

RC_GTEST_PROP(DataOracleProperty, RunsOfSectorsSayWhatSectorsSay, ()) {
  const DataOracle::Options options{
      .zeroed = *rc::gen::weightedElement<bool>({{3, true}, {1, false}}),
      .may_roll_back = *rc::gen::weightedElement<bool>({{3, false}, {1, true}}),
      .discarded_is_anything = *rc::gen::weightedElement<bool>({{3, false}, {1, true}})};
  const auto base_sectors = *rc::gen::inRange<std::uint64_t>(0, kSectors + 1);
  Both both{options, base_sectors};
  const std::string wrong = both.run(*rc::gen::scale(3.0, steps()));
  if (!wrong.empty()) RC_FAIL(wrong);
}

}   // namespace
}   // namespace checkers
