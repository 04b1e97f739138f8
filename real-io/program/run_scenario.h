// `wavetankd run`: the tank's workloads on real files and threads, with the data oracle on.
#pragma once

#include <cstdint>
#include <string>

namespace CLI {
class App;
}

namespace wavetankd {

struct RunOptions {
  std::string scenario = "thin-general";
  std::string data;             // of a cache: the origin
  std::string metadata;         // of a pool, or of a cache that stands alone
  std::string fast;             // of a cache
  std::string cache_metadata;   // of a cache in a stack
  std::uint64_t seed = 1;
  std::uint64_t runs = 100;
  double seconds = 0;   // stop after that long; 0: after `runs`
  std::uint32_t reactors = 2;
  bool overwrite = false;
};

void add_run_flags(CLI::App& command, RunOptions& options);
// 0: nothing found, 1: found, 2: usage or environment.
int run_scenario(const RunOptions& options);

}   // namespace wavetankd
