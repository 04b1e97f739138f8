// The tank's own speed on one core, without an engine: executions and scheduling points a second.
// Prints a table; each row runs for about a second of CPU time.
#include <cstdio>
#include <functional>

#include <time.h>

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

struct Rate {
  double executions = 0;
  double points = 0;
};

Rate measure(const std::function<std::uint64_t(std::uint64_t)>& one) {
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

void row(const char* name, const Rate& rate) {
  fmt::print("{:<52} {:>12.0f} {:>14.0f}\n", name, rate.executions, rate.points);
  std::fflush(stdout);
}

}   // namespace

int main() {
  sim::keep_freed_memory();
  fmt::print("{:<52} {:>12} {:>14}\n", "", "executions/s", "points/s");
  sim::RandomWalk walk{sim::RandomWalk::Temper::plain};
  sim::Execution execution;

  row("two fibers that lock, increment, unlock", measure([&](std::uint64_t seed) {
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
      }));

  row("four fibers, 1000 locked increments each", measure([&](std::uint64_t seed) {
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
      }));

  row("eight fibers, 100 writes of 4 KiB each", measure([&](std::uint64_t seed) {
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
      }));
  return 0;
}
