// What a fiber has looked at, and whether it spins.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace sim {

struct Look {
  std::uint32_t object;
  std::uint64_t changes;   // of the object, by then
};

// The looks since a fiber last did anything else, or saw something new. A loop that does nothing
// but look, and has done so for so long that no other program would, spins: it has nothing to do
// until something changes, like one that yields.
class SpinLooks {
 public:
  // True when it is found to spin, which begins the count anew.
  bool look(std::uint32_t object, std::uint64_t changes) {
    const auto known = std::find_if(looks_.begin(), looks_.end(),
                                    [&](const Look& look) { return look.object == object; });
    if (known == looks_.end()) {
      looks_.push_back({object, changes});
    } else if (known->changes != changes) {
      known->changes = changes;
      again_ = 0;
    } else if (++again_ == kRounds * looks_.size()) {
      again_ = 0;
      return true;
    }
    return false;
  }
  void clear() noexcept {
    looks_.clear();
    again_ = 0;
  }
  [[nodiscard]] std::span<const Look> looks() const noexcept { return looks_; }

 private:
  static constexpr std::size_t kRounds = 16;
  std::vector<Look> looks_;   // a look each
  std::size_t again_ = 0;     // at any of them
};

}   // namespace sim
