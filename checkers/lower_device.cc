#include "checkers/lower_device.h"

#include <algorithm>

namespace checkers {

void LowerDevice::submitted(engine::BioOp op, engine::Sector sector, std::uint64_t sectors,
                            Findings& findings) {
  if (op == engine::BioOp::flush) return;
  if (quiet_ != nullptr) {
    findings.add("lower_device", "submitted while quiet", "{}: {} of {} sectors at {} submitted {}",
                 device_, engine::to_string(op), sectors, sector, quiet_);
  }
  const UnderWay mine{op, sector.value(), sector.value() + sectors};
  if (op == engine::BioOp::discard) {
    std::uint64_t& end = discarded_[mine.begin];
    end = std::max(end, mine.end);
  }
  for (const UnderWay& other : under_way_) {
    if (mine.begin >= other.end || other.begin >= mine.end) continue;
    const bool mine_discards = op == engine::BioOp::discard;
    if (mine_discards == (other.op == engine::BioOp::discard)) continue;
    findings.add("lower_device",
                 mine_discards ? "discard over an I/O under way" : "I/O under a discard under way",
                 "{}: {} of [{}, {}) submitted while a {} of [{}, {}) is under way", device_,
                 engine::to_string(op), mine.begin, mine.end, engine::to_string(other.op),
                 other.begin, other.end);
    break;
  }
  under_way_.push_back(mine);
}

bool LowerDevice::was_discarded(engine::Sector begin, std::uint64_t sectors) const {
  std::uint64_t reached = begin.value();
  for (const auto& [first, last] : discarded_) {
    if (first <= reached) reached = std::max(reached, last);
  }
  return reached >= begin.value() + sectors;
}

void LowerDevice::completed(engine::BioOp op, engine::Sector sector, std::uint64_t sectors) {
  const UnderWay mine{op, sector.value(), sector.value() + sectors};
  const auto found = std::find(under_way_.begin(), under_way_.end(), mine);
  if (found == under_way_.end()) return;
  *found = under_way_.back();
  under_way_.pop_back();
}

}   // namespace checkers
