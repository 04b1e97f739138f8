// A load, and what was measured of it: shared by the program on raw io_uring and the same program
// on the engine.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include <sys/resource.h>
#include <time.h>

namespace bench {

inline constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
inline constexpr std::uint64_t kBlock = 64 << 10;

enum class Op : std::uint8_t { read, write, discard, copy };

struct Load {
  const char* name = "";
  Op op = Op::read;
  std::uint32_t depth = 1;
  std::uint32_t bytes = 4096;
  // Requests go to offset = slot * stride, of `slots` slots from `first` on.
  std::uint64_t stride = 4096;
  std::uint64_t slots = 0;
  std::uint64_t first = 0;
  bool once = false;   // each slot once, in a scattered order; else at random for `seconds`
  double seconds = 1.0;
  // Somebody else makes something durable all the while: the raw program writes a page with
  // O_DSYNC, a pool commits.
  bool beside_syncs = false;
  const std::atomic<bool>* over = nullptr;   // once it is set nothing is issued any more
};

struct Measured {
  double iops = 0;
  double p50_us = 0;
  double p99_us = 0;
  double cpu_us = 0;   // of the whole process, a request
};

inline double wall_seconds() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

inline double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto of = [](const timeval& value) {
    return static_cast<double>(value.tv_sec) + static_cast<double>(value.tv_usec) * 1e-6;
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

// Which slot comes next, and what has been measured so far.
class Meter {
 public:
  explicit Meter(const Load& load) : load_{load} {
    latencies_.reserve(1 << 20);
    began_ = wall_seconds();
    cpu_began_ = cpu_seconds();
  }
  // False: no further requests.
  bool next(std::uint64_t& offset) {
    if (load_.once) {
      if (issued_ == load_.slots) return false;
      // A full cycle through all slots, far apart: the multiplier is odd and the modulus 2^k.
      do {
        cursor_ = (cursor_ * 1664525 + 1013904223) & mask();
      } while (cursor_ >= load_.slots);
      offset = (load_.first + cursor_) * load_.stride;
    } else {
      if (load_.over != nullptr && *load_.over) return false;
      if ((issued_ & 15U) == 0 && wall_seconds() - began_ >= load_.seconds) return false;
      random_ ^= random_ << 13;
      random_ ^= random_ >> 7;
      random_ ^= random_ << 17;
      offset = (load_.first + random_ % load_.slots) * load_.stride;
    }
    ++issued_;
    return true;
  }
  void ended(double since) {
    latencies_.push_back(static_cast<float>((wall_seconds() - since) * 1e6));
  }
  Measured result() {
    const double seconds = wall_seconds() - began_;
    const auto count = static_cast<double>(latencies_.size());
    Measured measured;
    measured.cpu_us = (cpu_seconds() - cpu_began_) * 1e6 / count;
    measured.iops = count / seconds;
    const auto at = [&](double part) {
      const auto place = latencies_.begin() + static_cast<std::ptrdiff_t>(part * (count - 1));
      std::nth_element(latencies_.begin(), place, latencies_.end());
      return static_cast<double>(*place);
    };
    measured.p50_us = at(0.5);
    measured.p99_us = at(0.99);
    return measured;
  }

 private:
  [[nodiscard]] std::uint64_t mask() const {
    std::uint64_t size = 1;
    while (size < load_.slots)
      size *= 2;
    return size - 1;
  }
  const Load load_;
  std::vector<float> latencies_;
  double began_ = 0;
  double cpu_began_ = 0;
  std::uint64_t issued_ = 0;
  std::uint64_t cursor_ = 0;
  std::uint64_t random_ = 88172645463325252ULL;
};

}   // namespace bench
