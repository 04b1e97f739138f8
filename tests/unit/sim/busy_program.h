// A program with a bit of everything that the environment can decide, for tests of the scheduler.
#pragma once

#include <array>

#include "engine/env/buffer.h"
#include "engine/fiber/mutex.h"
#include "engine/fiber/spin_lock.h"
#include "engine/fiber/work_queue.h"
#include "sim/execution.h"
#include "sim/sim_device.h"

namespace sim {

inline void busy_fiber(Execution& execution, SimDevice& device, engine::Mutex& mutex,
                       engine::SpinLock& spin, engine::WorkQueue& queue, unsigned number) {
  engine::AlignedBuffer buffer{4096};
  int job_runs = 0;
  engine::Work work{"job", [](void* runs) { ++*static_cast<int*>(runs); }, &job_runs};
  for (unsigned round = 0; round < 3; ++round) {
    buffer.data()[0] = static_cast<std::byte>(number * 16 + round);
    engine::Bio bio;
    bio.op = engine::BioOp::write;
    bio.sector = engine::Sector{number * 8};
    bio.sectors = 8;
    bio.fua = round == 1;
    bio.data = buffer.data();
    const auto written = submit_and_wait(device, bio);
    if (!written) break;
    {
      const engine::MutexLock lock{mutex};
      const engine::SpinGuard guard{spin};
    }
    queue.queue(work);
    if (round == 1) engine::sleep_for(engine::Nanos{100 * number});
    if (number == 0) {
      const auto flushed = flush_and_wait(device);
      if (!flushed) break;
    }
    engine::yield_now();
  }
  engine::Bio discard;
  discard.op = engine::BioOp::discard;
  discard.sector = engine::Sector{number * 8};
  discard.sectors = 8;
  static_cast<void>(submit_and_wait(device, discard));
  queue.cancel_and_wait(work);
  execution.digest_value(static_cast<std::uint64_t>(job_runs));
}

inline void busy_program(Execution& execution) {
  SimDevice device{execution, "disk", {.sectors = 1024, .faults = {{{.ops = kWrites}}}}};
  engine::Mutex mutex{"mutex"};
  engine::SpinLock spin{"spin"};
  engine::WorkQueue queue{execution, "queue"};
  engine::Completion ended{"ended", 3};
  for (unsigned i = 0; i < 3; ++i) {
    execution.spawn("busy", [&, i] {
      busy_fiber(execution, device, mutex, spin, queue, i);
      ended.signal();
    });
  }
  ended.wait();
  queue.stop();
  device.power_cut();
  execution.digest_value(device.crash_image()->digest());
}

}   // namespace sim
