// What the walks say about each data block, in one 32-bit word of it: how many leaf slots refer to
// it, whether live devices map it more than once, whether one of those slots claims it for itself
// (its time is not below the device's snapshotted time), and a fingerprint of the virtual block and
// time that it is mapped at, to notice slots that differ. A fingerprint of 20 bits misses one
// difference in a million, which only rule 18, a warning, rests upon.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <unordered_map>

namespace checkers::image {

enum class Slot : std::uint8_t { live_shared, live_exclusive, held };

class DataCounts {
 public:
  static constexpr std::uint32_t kCountMask = 0xff;   // 255: see big_
  static constexpr std::uint32_t kLiveOnce = 1U << 8;
  static constexpr std::uint32_t kLiveTwice = 1U << 9;
  static constexpr std::uint32_t kExclusive = 1U << 10;
  static constexpr std::uint32_t kDiffers = 1U << 11;
  static constexpr unsigned kFingerprintShift = 12;

  // Starts anew for `size` blocks; false when there is no memory for them. Pages that no block of
  // an image touches stay untouched.
  [[nodiscard]] bool reset(std::uint64_t size) {
    big_.clear();
    if (words_ != nullptr && size <= kKeptSize && size <= capacity_) {
      std::memset(words_.get(), 0, size * sizeof(std::uint32_t));
    } else {
      words_.reset(static_cast<std::uint32_t*>(std::calloc(size | 1, sizeof(std::uint32_t))));
      capacity_ = words_ ? size : 0;
    }
    size_ = words_ ? size : 0;
    return words_ != nullptr;
  }
  [[nodiscard]] std::uint64_t size() const { return size_; }

  void prefetch(std::uint64_t block) const { __builtin_prefetch(words_.get() + block, 1); }

  void add(std::uint64_t block, std::uint64_t virtual_block, std::uint32_t time, Slot slot) {
    std::uint32_t word = words_[block];
    const std::uint32_t print = fingerprint(virtual_block, time);
    if ((word & kCountMask) == 0) {
      word = print << kFingerprintShift;
    } else if (word >> kFingerprintShift != print) {
      word |= kDiffers;
    }
    if ((word & kCountMask) == kCountMask) [[unlikely]] {
      ++big_[block];
    } else {
      ++word;
    }
    if (slot != Slot::held) {
      word |= (word & kLiveOnce) << 1;
      word |= kLiveOnce;
      if (slot == Slot::live_exclusive) word |= kExclusive;
    }
    words_[block] = word;
  }

  [[nodiscard]] std::uint32_t word(std::uint64_t block) const { return words_[block]; }
  [[nodiscard]] std::uint64_t refs(std::uint64_t block) const {
    const std::uint32_t count = words_[block] & kCountMask;
    if (count < kCountMask) [[likely]]
      return count;
    const auto more = big_.find(block);
    return count + (more == big_.end() ? 0 : more->second);
  }
  // Mapped more than once by live devices, at least one of which would write to it in place.
  [[nodiscard]] static bool unsound(std::uint32_t word) {
    constexpr std::uint32_t kBoth = kLiveTwice | kExclusive;
    return (word & kBoth) == kBoth;
  }

 private:
  static constexpr std::uint64_t kKeptSize = 1 << 16;
  struct Free {
    void operator()(std::uint32_t* words) const { std::free(words); }
  };

  static std::uint32_t fingerprint(std::uint64_t virtual_block, std::uint32_t time) {
    const std::uint64_t mixed =
        (virtual_block ^ (std::uint64_t{time} << 40)) * 0x9e3779b97f4a7c15ULL;
    return static_cast<std::uint32_t>(mixed >> 44);
  }

  std::unique_ptr<std::uint32_t[], Free> words_;
  std::uint64_t capacity_{0};
  std::uint64_t size_{0};
  std::unordered_map<std::uint64_t, std::uint64_t> big_;   // looked up only, never iterated
};

}   // namespace checkers::image
