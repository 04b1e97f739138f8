#include "sim/tree_estimate.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

namespace sim {

namespace {

constexpr double kDeviations = 2;
constexpr double kWide = 1.5;      // times the lower end
constexpr double kAsGood = 1.05;   // likewise
constexpr double kInFull = 1e7;    // numbers below

std::string three_digits(double number) {
  if (number >= kInFull || number < 1) return fmt::format("{:.3g}", number);
  const double digit = std::pow(10, std::max(std::floor(std::log10(number)) - 2, 0.0));
  return fmt::format("{:.0f}", std::round(number / digit) * digit);
}

}   // namespace

void Estimated::is_at_least(double counted) noexcept {
  if (number == 0) return;
  for (double* const each : {&number, &low, &high})
    *each = std::max(*each, counted);
}

std::string Estimated::text() const {
  if (high <= low * kAsGood) return three_digits(number);
  return fmt::format("{} ({} to {})", three_digits(number), three_digits(low), three_digits(high));
}

TreeEstimate::TreeEstimate(const Told& told) noexcept
    : walks_{static_cast<std::uint64_t>(told[0])},
      mean_{told[1]},
      squares_{told[2]},
      log_mean_{told[3]},
      log_squares_{told[4]},
      log_cubes_{told[5]} {}

TreeEstimate::Told TreeEstimate::told() const noexcept {
  return {static_cast<double>(walks_), mean_, squares_, log_mean_, log_squares_, log_cubes_};
}

// By the recurrences of B. Welford and T. Terriberry.
void TreeEstimate::add(double leaves) noexcept {
  const auto walks = static_cast<double>(++walks_);
  const double off = leaves - mean_;
  mean_ += off / walks;
  squares_ += off * (leaves - mean_);
  const double log_off = std::log(leaves) - log_mean_;
  const double step = log_off / walks;
  const double square = log_off * step * (walks - 1);
  log_mean_ += step;
  log_cubes_ += square * step * (walks - 2) - 3 * step * log_squares_;
  log_squares_ += square;
}

Estimated TreeEstimate::estimated() const noexcept {
  if (walks_ == 0) return {};
  if (walks_ == 1) return {.number = mean_, .low = 0, .high = std::numeric_limits<double>::max()};
  const auto walks = static_cast<double>(walks_);
  // Of the mean's logarithm, too: none is below 0.
  const double off = std::exp(kDeviations * std::sqrt(squares_ / (walks - 1) / walks) / mean_);
  const double variance = log_squares_ / (walks - 1);
  const double middle = log_mean_ + variance / 2;
  const double lean = log_cubes_ / walks / 6;
  const double log_off =
      kDeviations * std::sqrt(variance / walks + variance * variance / (2 * (walks - 1)) +
                              variance * variance * variance / (6 * walks));
  return {.number = mean_,
          .low = std::min(mean_ / off, std::exp(middle + std::min(lean, 0.0) - log_off)),
          .high = std::max(mean_ * off, std::exp(middle + std::max(lean, 0.0) + log_off))};
}

bool TreeEstimate::is_wide() const noexcept {
  const Estimated range = estimated();
  return range.high > range.low * kWide;
}

}   // namespace sim
