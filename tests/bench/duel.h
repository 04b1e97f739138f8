// The raw program and the engine under one load, in turns: short slices, first one, then the other,
// then the other way round, so that what else the machine does meets both alike. A row shows
// medians over the slices, and of the ratio and the added CPU over the pairs.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "real-io/reactor.h"
#include "tests/bench/load.h"

namespace bench {

struct Settings {
  std::string folder = ".";
  std::uint64_t megabytes = 512;   // of the volume
  double seconds = 0.25;           // of a slice
  int slices = 12;                 // of each kind, for loads that can be repeated
  int parts = 5;                   // of the volume, for loads that do each block once
  double spin_us = 0;
  std::string only;   // rows whose name holds it

  void add_to(CLI::App& program) {
    program.add_option("--folder", folder, "where the files are made");
    program.add_option("--megabytes", megabytes, "size of the volume");
    program.add_option("--seconds", seconds, "a slice");
    program.add_option("--slices", slices, "of loads that can be repeated");
    program.add_option("--parts", parts, "of the volume, for loads that write a block once");
    program.add_option("--spin-us", spin_us, "the reactor looks for work before it sleeps");
    program.add_option("--only", only, "rows whose name holds this");
  }
  [[nodiscard]] bool wants(std::string_view row) const {
    return row.find(only) != std::string_view::npos;
  }
  [[nodiscard]] real_io::Reactor::Options reactor() const {
    return {.spin = std::chrono::nanoseconds{static_cast<std::int64_t>(spin_us * 1000)}};
  }
  [[nodiscard]] std::uint64_t volume_bytes() const { return megabytes * kMiB; }
};

// What a row is judged by: the ratio to raw at least, the added CPU at most. 0: nothing.
struct Aim {
  double ratio = 0;
  double added_us = 0;
};

using Pair = std::pair<Measured, Measured>;   // raw, ours

// `raw(load)` and `ours(load)` take turns; each is given another part of a load that does each slot
// once.
template <typename Raw, typename Ours>
std::vector<Pair> take_turns(const Settings& settings, const Load& whole, Raw&& raw, Ours&& ours) {
  std::vector<Pair> pairs;
  const int count = whole.once ? settings.parts : settings.slices;
  for (int i = 0; i < count; ++i) {
    Load load = whole;
    if (load.once) {
      load.slots /= static_cast<std::uint64_t>(count);
      load.first = load.slots * static_cast<std::uint64_t>(i);
    }
    Pair pair;
    const bool raw_first = i % 2 == 0;
    if (raw_first) pair.first = raw(load);
    pair.second = ours(load);
    if (!raw_first) pair.first = raw(load);
    pairs.push_back(pair);
  }
  return pairs;
}

inline void print_heading(std::string_view title) {
  fmt::print("{:<32}{:>9}{:>9}{:>7}{:>6}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>7}{:>6}\n", title,
             "raw IOPS", "IOPS", "ratio", "aim", "raw p50", "p50", "raw p99", "p99", "raw CPU",
             "CPU us", "added", "aim");
}

inline void report(std::string_view name, const Aim& aim, const std::vector<Pair>& pairs) {
  const auto median = [&](auto&& of) {
    std::vector<double> values;
    for (const Pair& pair : pairs)
      values.push_back(of(pair));
    std::sort(values.begin(), values.end());
    const std::size_t half = values.size() / 2;
    return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
  };
  const auto raw = [&](double Measured::* field) {
    return median([&](const Pair& pair) { return pair.first.*field; });
  };
  const auto ours = [&](double Measured::* field) {
    return median([&](const Pair& pair) { return pair.second.*field; });
  };
  const double ratio = median([](const Pair& pair) { return pair.second.iops / pair.first.iops; });
  const double added =
      median([](const Pair& pair) { return pair.second.cpu_us - pair.first.cpu_us; });
  const auto aimed = [](double value) {
    return value == 0 ? std::string{} : fmt::format("{:.4g}", value);
  };
  fmt::print(
      "{:<32}{:>9.0f}{:>9.0f}{:>7.2f}{:>6}{:>8.1f}{:>8.1f}{:>8.0f}{:>8.0f}{:>8.2f}{:>8.2f}{:>7.2f}"
      "{:>6}\n",
      name, raw(&Measured::iops), ours(&Measured::iops), ratio, aimed(aim.ratio),
      raw(&Measured::p50_us), ours(&Measured::p50_us), raw(&Measured::p99_us),
      ours(&Measured::p99_us), raw(&Measured::cpu_us), ours(&Measured::cpu_us), added,
      aimed(aim.added_us));
  std::fflush(stdout);
}

}   // namespace bench
