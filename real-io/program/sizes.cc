#include "real-io/program/sizes.h"

#include <array>
#include <charconv>
#include <limits>
#include <utility>

#include <fmt/format.h>

namespace wavetankd {

tl::expected<std::uint64_t, std::string> parse_size(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, std::uint64_t>, 21> kUnits = {{
      {"", 1},
      {"B", 1},
      {"s", 512},
      {"K", std::uint64_t{1} << 10},
      {"KiB", std::uint64_t{1} << 10},
      {"M", std::uint64_t{1} << 20},
      {"MiB", std::uint64_t{1} << 20},
      {"G", std::uint64_t{1} << 30},
      {"GiB", std::uint64_t{1} << 30},
      {"T", std::uint64_t{1} << 40},
      {"TiB", std::uint64_t{1} << 40},
      {"kB", 1'000},
      {"MB", 1'000'000},
      {"GB", 1'000'000'000},
      {"TB", 1'000'000'000'000},
      {"P", std::uint64_t{1} << 50},
      {"PiB", std::uint64_t{1} << 50},
      {"E", std::uint64_t{1} << 60},
      {"EiB", std::uint64_t{1} << 60},
      {"PB", 1'000'000'000'000'000},
      {"EB", 1'000'000'000'000'000'000},
  }};
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc{}) {
    const std::string_view unit{rest, static_cast<std::size_t>(end - rest)};
    for (const auto& [name, factor] : kUnits) {
      if (unit != name) continue;
      if (number > std::numeric_limits<std::uint64_t>::max() / factor) break;
      return number * factor;
    }
  }
  return tl::unexpected{
      fmt::format("'{}' is no size: a whole number below 16 EiB with B, KiB, MiB, GiB, TiB, PiB, "
                  "EiB or s (sectors)",
                  text)};
}

}   // namespace wavetankd
