// The tank's own speed without an engine: executions and scheduling points a second, of one core
// and of as many processes as there are cores, side by side as the workers of a search are. Prints
// a table; each measurement takes about a second of CPU time of each process.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <thread>

#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <fmt/format.h>

#include "engine/env/buffer.h"
#include "engine/fiber/mutex.h"
#include "sim/execution.h"
#include "sim/process.h"
#include "sim/sim_device.h"
#include "sim/strategy_random.h"

namespace {

// Of this process alone: others may be using the machine.
double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// Runs the execution of that seed; how many points it had.
using One = std::function<std::uint64_t(std::uint64_t)>;

struct Rate {
  double executions = 0;
  double points = 0;
};

Rate measure(const One& one) {
  std::uint64_t points = 0;
  std::uint64_t executions = 0;
  const double began = cpu_seconds();
  double seconds = 0;
  while (seconds < 1.0) {
    for (int i = 0; i < 64; ++i)
      points += one(executions++);
    seconds = cpu_seconds() - began;
  }
  return {static_cast<double>(executions) / seconds, static_cast<double>(points) / seconds};
}

// Their sum. Processes, as a search has: they share nothing.
Rate measure_on_all(const One& one) {
  int ends[2] = {-1, -1};
  if (pipe(ends) != 0) return {};
  const unsigned cores = std::max(std::thread::hardware_concurrency(), 1U);
  for (unsigned i = 0; i < cores; ++i) {
    if (fork() != 0) continue;
    const Rate mine = measure(one);
    const bool written = write(ends[1], &mine, sizeof mine) == sizeof mine;
    _exit(written ? 0 : 1);
  }
  close(ends[1]);
  Rate all;
  for (Rate part; read(ends[0], &part, sizeof part) == sizeof part;) {
    all.executions += part.executions;
    all.points += part.points;
  }
  close(ends[0]);
  while (wait(nullptr) > 0) {
  }
  return all;
}

void row(const char* name, const One& one) {
  const Rate rate = measure(one);
  const Rate all = measure_on_all(one);
  fmt::print("{:<44} {:>12.0f} {:>12.0f} {:>12.0f} {:>12.0f}\n", name, rate.executions, rate.points,
             all.executions, all.points);
  std::fflush(stdout);
}

}   // namespace

int main() {
  sim::keep_freed_memory();
  fmt::print("{:<44} {:>12} {:>12} {:>12} {:>12}\n", "one core, then all", "executions/s",
             "points/s", "executions/s", "points/s");
  std::fflush(stdout);   // before processes are made that would print it again
  sim::RandomWalk walk{sim::RandomWalk::Temper::plain};
  sim::Execution execution;

  row("two fibers that lock, increment, unlock", [&](std::uint64_t seed) {
    execution.reset({.seed = seed, .strategy = &walk});
    struct State {
      engine::Mutex mutex{"count"};
      int count = 0;
    } state;
    const auto bump = [&state] {
      const engine::MutexLock lock{state.mutex};
      ++state.count;
    };
    return execution
        .run([&] {
          execution.spawn("other", bump);
          bump();
        })
        .points;
  });

  row("four fibers, 1000 locked increments each", [&](std::uint64_t seed) {
    execution.reset({.seed = seed, .strategy = &walk});
    engine::Mutex mutex{"count"};
    int count = 0;
    return execution
        .run([&] {
          for (int i = 0; i < 4; ++i) {
            execution.spawn("counter", [&] {
              for (int n = 0; n < 1000; ++n) {
                const engine::MutexLock lock{mutex};
                ++count;
              }
            });
          }
        })
        .points;
  });

  row("eight fibers, 100 writes of 4 KiB each", [&](std::uint64_t seed) {
    execution.reset({.seed = seed, .strategy = &walk});
    sim::SimDevice device{execution, "disk", {.sectors = 65536}};
    engine::AlignedBuffer buffer{4096};
    return execution
        .run([&] {
          for (unsigned i = 0; i < 8; ++i) {
            execution.spawn("writer", [&, i] {
              for (unsigned n = 0; n < 100; ++n) {
                engine::Bio bio;
                bio.op = engine::BioOp::write;
                bio.sector = engine::Sector{(i * 100 + n) * 8ULL};
                bio.sectors = 8;
                bio.data = buffer.data();
                static_cast<void>(submit_and_wait(device, bio));
              }
            });
          }
        })
        .points;
  });
  return 0;
}
