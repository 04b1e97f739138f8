// The subcommands of `wavetank`. Each returns the exit code: 0 nothing found, 1 something found,
// 2 usage or environment.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "sim/program/judges.h"

namespace program {

struct SearchOptions {
  std::string scenario;             // or several with commas between them, which take turns; or
  std::filesystem::path workload;   // a TOML file
  std::string strategy = "portfolio";
  std::uint64_t seed = 1;
  std::uint64_t schedules = 20000;
  double seconds = 0;       // 0: no limit
  std::uint32_t jobs = 0;   // 0: one a core
  std::uint32_t schedules_per_workload = 4;
  double shrink_seconds = 60;   // for each finding
  Judges judges{};
  bool keep_going = false;   // look for more defects after the first
  std::filesystem::path out = "out";
  bool no_folder = false;           // findings are told, and neither shrunk nor kept
  std::filesystem::path images{};   // a folder for what power cuts leave; empty: none
  std::string mutant;               // for the record: this program is the tank around it
  bool json = false;
  bool quiet = false;
};
int search(const SearchOptions& options);

struct ExploreOptions {
  std::filesystem::path workload;   // a TOML file, or
  std::string scenario;             // so many of its workloads, cut down to so many operations
  std::uint32_t workloads = 20;
  std::uint32_t operations = 2;
  std::uint64_t seed = 1;
  // At most so many; without a number 1, or with cuts one schedule.
  std::optional<std::uint32_t> preemptions{};
  // At most so many, power cuts included; without a number none but what `cuts` says.
  std::optional<std::uint32_t> faults{};
  std::uint32_t retries = 0;   // looks in vain of each fiber that yields
  bool timers = false;         // timers may fire while something else could happen
  bool cuts = false;           // one cut anywhere, whatever the workload says of cuts
  bool every_image = false;    // also those that differ only where nobody looks, or in data
  bool check = false;          // whether what is taken for equivalent is
  std::uint32_t jobs = 0;      // 0: one a core
  double seconds = 600;        // of each workload
  std::uint64_t executions_max = 100'000'000;   // those cut short do not count
  std::uint64_t memory_mib = 1024;              // for what has been seen, of each workload
  double shrink_seconds = 20;
  Judges judges{};
  std::filesystem::path out = "out";
  bool no_folder = false;   // as in SearchOptions
  std::string mutant;       // the same
  bool json = false;

  [[nodiscard]] std::uint32_t faults_most() const { return faults.value_or(cuts ? 1 : 0); }
};
int explore(const ExploreOptions& options);

struct ReplayOptions {
  std::filesystem::path trace;      // a trace file, or a finding's folder
  std::filesystem::path images{};   // a folder for what its power cuts leave; empty: none
  bool strict = false;              // the first divergence is an error
  bool json = false;
};
int replay(const ReplayOptions& options);

struct ShrinkOptions {
  std::filesystem::path trace;
  std::filesystem::path out;
  double seconds = 60;
};
int shrink(const ShrinkOptions& options);

struct RenderOptions {
  std::filesystem::path trace;
  std::string format = "svg";   // svg, dot, html, json, story
  std::filesystem::path out;    // empty: standard output
};
int render(const RenderOptions& options);

struct ScoreboardOptions {
  std::vector<std::string> mutants;   // empty: all
  std::vector<std::string> strategies{"random", "pct",   "pos",    "urw",
                                      "surw",   "stall", "guided", "portfolio"};
  std::uint32_t seeds = 5;
  std::uint64_t schedules = 20'000;   // of each search
  double seconds = 60;                // the same
  std::uint32_t jobs = 0;
  bool aimed = false;   // with each mutant's aimed scenario, not the general one
  bool json = false;
  std::filesystem::path out;   // a folder; empty: none
  bool resume = false;         // take the rows that it has
};
int scoreboard(const ScoreboardOptions& options);

int list(const std::string& what, bool json);
int check_thin(const std::filesystem::path& image, bool json);
int check_cache(const std::filesystem::path& image, bool json);

}   // namespace program
