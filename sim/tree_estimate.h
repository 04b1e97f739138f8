// How many leaves a tree has, from random walks down it: what is multiplied on the way are the
// inverses of the probabilities of all that was drawn, and the mean of it is that number, whatever
// the probabilities are (D. Knuth, "Estimating the efficiency of backtrack programs", 1975).
//
// A few walks may weigh more than all others, and may not have come up yet: then the mean is too
// low, and what the walks differ from it says nothing of that. But products of many factors have
// logarithms that are about normal, and those of the walks that did come up tell how heavy the
// others are. So the range is the one of the mean of a log-normal distribution by D. Cox (C. Land,
// "An evaluation of approximate confidence interval estimation methods for lognormal means", 1972),
// made wider by how far the logarithms lean to one side (the third term of the series of
// cumulants), together with two deviations of the mean of the walks, as few factors make no such
// distribution.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace sim {

// A number that was estimated, and between which it lies: nineteen times of twenty where logarithms
// are about normal.
struct Estimated {
  double number = 0;   // 0: there is no estimate
  double low = 0;
  double high = 0;

  // So many were counted.
  void is_at_least(double counted) noexcept;
  // To three digits; with the range, unless that is as good as the number.
  [[nodiscard]] std::string text() const;
};

class TreeEstimate {
 public:
  // What walks in another process came to, as it told it.
  using Told = std::array<double, 6>;
  TreeEstimate() = default;
  explicit TreeEstimate(const Told& told) noexcept;
  [[nodiscard]] Told told() const noexcept;

  // What a walk came to, 1 or more.
  void add(double leaves) noexcept;
  [[nodiscard]] std::uint64_t walks() const noexcept { return walks_; }
  // Without walks there is none. Of a single walk nothing is known but that.
  [[nodiscard]] Estimated estimated() const noexcept;
  // More walks would tell more: one end of the range is far from the other.
  [[nodiscard]] bool is_wide() const noexcept;

 private:
  std::uint64_t walks_ = 0;
  // Means, and the sums of the squares of what each walk is off.
  double mean_ = 0;
  double squares_ = 0;
  double log_mean_ = 0;
  double log_squares_ = 0;
  double log_cubes_ = 0;
};

}   // namespace sim
