// What policies are raced on: accesses by Zipf's law, and the plain LRU that they are raced
// against. The same every time.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <list>
#include <random>
#include <unordered_map>
#include <vector>

namespace bench {

// By Zipf's law over stretches that are scattered; with scans, every fourth access is to a cold
// block.
class Traffic {
 public:
  Traffic(std::uint64_t blocks, double skew, bool scans) : blocks_{blocks}, scans_{scans} {
    double sum = 0;
    for (std::uint64_t rank = 1; rank <= blocks; ++rank)
      cumulative_.push_back(sum += 1 / std::pow(static_cast<double>(rank), skew));
  }
  std::uint64_t next() {
    if (scans_ && ++count_ % 4 == 0) return blocks_ + scanned_++ % (4 * blocks_);
    const double drawn = static_cast<double>(random_() >> 11) / 9007199254740992.0;
    const auto found =
        std::lower_bound(cumulative_.begin(), cumulative_.end(), drawn * cumulative_.back());
    const auto rank = static_cast<std::uint64_t>(found - cumulative_.begin());
    // Stretches of 16 keep together; blocks_ is a power of two.
    return (rank / 16 * 0x9E3779B1ULL % (blocks_ / 16)) * 16 + rank % 16;
  }

 private:
  std::uint64_t blocks_;
  bool scans_;
  std::uint64_t count_ = 0;
  std::uint64_t scanned_ = 0;
  std::mt19937_64 random_{42};
  std::vector<double> cumulative_;
};

class Lru {
 public:
  explicit Lru(std::size_t size) : size_{size} {}
  bool access(std::uint64_t block) {
    const auto found = where_.find(block);
    const bool hit = found != where_.end();
    if (hit) {
      order_.erase(found->second);
    } else if (order_.size() == size_) {
      where_.erase(order_.front());
      order_.pop_front();
    }
    where_[block] = order_.insert(order_.end(), block);
    return hit;
  }

 private:
  std::size_t size_;
  std::list<std::uint64_t> order_;
  std::unordered_map<std::uint64_t, std::list<std::uint64_t>::iterator> where_;
};

}   // namespace bench
