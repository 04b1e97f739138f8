#include "tests/unit/traces/late_discard.h"

#include <array>
#include <map>
#include <string_view>
#include <utility>

#include "engine/env/bio.h"
#include "engine/fiber/event.h"

namespace traces {
namespace {

using engine::BioOp;

constexpr std::uint32_t kMain = 1;
constexpr std::uint32_t kWorker = 2;
constexpr std::uint32_t kActorA = 3;
constexpr std::uint32_t kActorB = 4;
constexpr std::uint32_t kActorC = 5;

struct Object {
  std::string_view text;
  std::uint32_t id;
};
constexpr Object kMapped{"device mapped", 31};
constexpr Object kData{"device data", 2};
constexpr Object kMetadata{"device metadata", 1};
constexpr Object kPool{"pool pool", 12};
constexpr Object kMetaLock{"rw_lock metadata", 14};
constexpr Object kPrison{"cell prison", 13};
constexpr Object kDeferred{"spin_lock pool.deferred", 15};

struct Place {
  std::string_view file;
  std::uint32_t line;
};

// Writes a run down as it might happen; keeps the books that the tank keeps.
class Recorder {
 public:
  Recorder() {
    for (const auto& [id, name] : {std::pair{kMain, "main"},
                                   {kWorker, "pool.worker"},
                                   {kActorA, "actor a"},
                                   {kActorB, "actor b"},
                                   {kActorC, "actor c"}})
      trace_.fibers.push_back({id, id == kMain ? 0U : kMain, name});
  }

  Recorder& as(std::uint32_t fiber) {
    fiber_ = fiber;
    return *this;
  }
  void steps(std::uint64_t count) { point_ += count; }

  void event(std::string_view op, Object object, Place place, std::uint64_t a = 0,
             std::uint64_t b = 0, std::uint64_t c = 0, std::string_view name = {}) {
    trace_.events.push_back({.point = ++point_,
                             .time_ns = 0,
                             .fiber = fiber_,
                             .op = std::string{op},
                             .object = std::string{object.text},
                             .object_id = object.id,
                             .file = std::string{place.file},
                             .line = place.line,
                             .a = a,
                             .b = b,
                             .c = c,
                             .name = std::string{name}});
  }
  void park(Object object, Place place, engine::OpKind why) {
    event("fiber_park", object, place, static_cast<std::uint64_t>(why));
  }
  void wake(std::uint32_t fiber, Place place) {
    event("fiber_unpark", {"fiber fiber", 100 + fiber}, place, fiber);
  }

  // Returns the actor that the I/O's end will run on.
  std::uint32_t submit(Object device, BioOp op, std::uint64_t sector, std::uint64_t sectors,
                       Place place) {
    event("bio_submit", device, place, sector, sectors, static_cast<std::uint64_t>(op));
    const std::uint32_t ordinal = ++submitted_[device.id];
    return 1U << 30U | (device.id == kData.id ? 1U : 0U) << 22U | ordinal;
  }
  void effect(std::uint32_t actor, Object device, BioOp op, std::uint64_t sector,
              std::uint64_t sectors, bool deviation = false) {
    decide("effect", actor, deviation);
    event("bio_effect", device, {"sim/sim_device.cc", 112}, sector, sectors,
          static_cast<std::uint64_t>(op));
  }
  void complete(std::uint32_t actor, Object device, std::uint64_t sector, std::uint64_t sectors) {
    decide("complete", actor, false);
    trace_.fibers.push_back(
        {actor, fiber_,
         std::string{device.text.substr(7)} + " #" + std::to_string(++completed_[device.id])});
    fiber_ = actor;
    event("bio_complete", device, {"sim/sim_device.cc", 131}, sector, sectors, 0);
  }
  void decide(std::string_view kind, std::uint32_t to, bool deviation, bool put_aside = false,
              std::string_view stopped_at = "work_run pool.worker",
              Place place = {"engine/fiber/work_queue.cc", 132}) {
    std::string what{"data"};
    for (const Fiber& fiber : trace_.fibers) {
      if (fiber.id == to) what = fiber.name;
    }
    trace_.decisions.push_back({.point = point_,
                                .events_before = trace_.events.size(),
                                .time_ns = 0,
                                .from = fiber_,
                                .to = to,
                                .kind = std::string{kind},
                                .what = what,
                                .put_aside = put_aside,
                                .deviation = deviation,
                                .stopped_at = std::string{stopped_at},
                                .file = std::string{place.file},
                                .line = place.line});
    if (kind == "run") fiber_ = to;
  }

  // A metadata commit, as dull as they are.
  void commit() {
    const std::uint32_t committer = fiber_;
    event("commit_begin", kPool, {"engine/thin/pool_mode.cc", 103});
    event("commit_begin", kMetaLock, {"engine/thin/metadata.cc", 307}, 1);
    for (std::uint64_t block = 3; block < 9; ++block) {
      const auto io =
          submit(kMetadata, BioOp::write, block * 8, 8, {"engine/pdata/block_manager.cc", 301});
      park({"completion bio", 55}, {"engine/env/block_device.cc", 60},
           engine::OpKind::completion_wait);
      effect(io, kMetadata, BioOp::write, block * 8, 8);
      complete(io, kMetadata, block * 8, 8);
      wake(committer, {"engine/fiber/completion.cc", 30});
      decide("run", committer, false);
      fiber_ = committer;
    }
    event("commit_end", kMetaLock, {"engine/thin/metadata.cc", 314}, 1);
    event("commit_end", kPool, {"engine/thin/pool_mode.cc", 105});
  }

  Trace take(std::string_view kind, std::string_view message, std::string_view place,
             std::string_view fiber, std::string_view detail = {}) {
    trace_.points = point_;
    trace_.failed = true;
    trace_.defect = {.kind = std::string{kind},
                     .message = std::string{message},
                     .place = std::string{place},
                     .detail = std::string{detail},
                     .fiber = std::string{fiber},
                     .point = point_,
                     .circle = {}};
    for (const Decision& decision : trace_.decisions)
      trace_.preemptions += decision.put_aside ? 1 : 0;
    return std::move(trace_);
  }

  Trace& trace() { return trace_; }

 private:
  Trace trace_;
  std::uint64_t point_ = 0;
  std::uint32_t fiber_ = kMain;
  std::map<std::uint32_t, std::uint32_t> submitted_;
  std::map<std::uint32_t, std::uint32_t> completed_;
};

constexpr std::string_view kWorkload = R"(scenario = "thin-discard-passdown"

[system]
metadata_blocks = 64
data_blocks = 1
data_device_blocks = 1
block_sectors = 128
low_water_blocks = 0
skip_block_zeroing = true
error_if_no_space = false
discard_reads = "garbage"
thins = [ { id = 0, blocks = 4 } ]

[faults]
power_cuts = 0

[setup]
operations = [
  "write thin=0 sector=0 sectors=128",
]

[[actor]]
name = "discarder"
operations = [
  "discard thin=0 sector=0 sectors=128",
]

[[actor]]
name = "writer"
operations = [
  "write thin=0 sector=128 sectors=128",
  "read thin=0 sector=128 sectors=128",
]
)";

// A thin's first write to a block, by `actor`, provisioned by the worker.
std::uint32_t provision(Recorder& run, std::uint32_t actor, std::uint64_t block, bool commit) {
  run.as(actor).submit(kMapped, BioOp::write, block * 128, 128, {"scenarios/lab.cc", 212});
  run.event("cell_detain", kPrison, {"engine/thin/thin_device.cc", 141}, 0, block, 1);
  run.event("spin_lock", kDeferred, {"engine/thin/thin_device.cc", 160});
  run.event("spin_unlock", kDeferred, {"engine/thin/thin_device.cc", 163});
  run.wake(kWorker, {"engine/fiber/work_queue.cc", 41});
  run.park({"completion bio", 60}, {"scenarios/lab.cc", 214}, engine::OpKind::completion_wait);
  run.decide("run", kWorker, false);
  run.as(kWorker).event("work_run", {"work_queue pool.worker", 16},
                        {"engine/fiber/work_queue.cc", 132}, 0, 0, 0, "deferred");
  run.steps(14);
  if (commit) run.commit();
  run.event("data_block_alloc", kMetaLock, {"engine/thin/metadata_space.cc", 17}, 0);
  run.event("data_block_alloc", kPool, {"engine/thin/provision.cc", 96}, 0);
  run.event("mapping_insert", kMetaLock, {"engine/thin/metadata_mappings.cc", 82}, 0, block, 0);
  run.event("mapping_insert", kPool, {"engine/thin/provision.cc", 221}, 0, block, 0);
  const auto io = run.submit(kData, BioOp::write, 0, 128, {"engine/thin/provision.cc", 180});
  run.park({"work_queue pool.worker", 16}, {"engine/fiber/work_queue.cc", 130},
           engine::OpKind::work_run);
  return io;
}

void end_write(Recorder& run, std::uint32_t io, std::uint32_t actor, std::uint64_t block) {
  run.complete(io, kData, 0, 128);
  run.event("cell_release", kPrison, {"engine/thin/provision.cc", 240}, 0, block);
  run.event("bio_complete", kMapped, {"engine/io/mapped_bio.cc", 44}, block * 128, 128, 0);
  run.wake(actor, {"engine/fiber/completion.cc", 30});
}

}   // namespace

Trace late_discard() {
  Recorder run;
  Trace& trace = run.trace();
  trace.mutant = "S3-passdown-race";
  trace.strategy = "pct";
  trace.seed = 4711;
  trace.digest = 0x1234567890ABCDEF;
  trace.workload = kWorkload;
  trace.schedule = "schedule 1\nat fiber:2:pool.worker 31 effect io:1.3:data\nend\n";
  for (int i = 0; i < 60; ++i) {
    const auto block = static_cast<std::uint64_t>(i % 9) * 8;
    const auto io = run.submit(kMetadata, i % 3 == 0 ? BioOp::read : BioOp::write, block, 8,
                               {"engine/pdata/block_manager.cc", 210});
    run.effect(io, kMetadata, i % 3 == 0 ? BioOp::read : BioOp::write, block, 8);
    run.complete(io, kMetadata, block, 8);
    run.as(kMain);
    run.steps(7);
  }
  // Set-up: thin 0 block 0 gets data block 0.
  const auto first = provision(run, kMain, 0, false);
  run.effect(first, kData, BioOp::write, 0, 128);
  end_write(run, first, kMain, 0);
  run.decide("run", kMain, false);
  run.as(kMain);
  for (const std::uint32_t actor : {kActorA, kActorB, kActorC})
    run.event("fiber_spawn", {"fiber fiber", 100 + actor}, {"sim/program/tank_world.cc", 99},
              actor);
  run.park({"completion actors", 70}, {"sim/program/tank_world.cc", 104},
           engine::OpKind::completion_wait);

  // The discarder.
  run.decide("run", kActorA, false);
  run.submit(kMapped, BioOp::discard, 0, 128, {"scenarios/lab.cc", 230});
  run.wake(kWorker, {"engine/fiber/work_queue.cc", 41});
  run.park({"completion bio", 61}, {"scenarios/lab.cc", 232}, engine::OpKind::completion_wait);
  run.decide("run", kWorker, false);
  run.event("work_run", {"work_queue pool.worker", 16}, {"engine/fiber/work_queue.cc", 132}, 0, 0,
            0, "deferred");
  run.event("cell_detain", kPrison, {"engine/thin/discard.cc", 61}, 0, 0, 1);
  run.event("cell_detain", kPrison, {"engine/thin/discard.cc", 120}, 1ULL << 32U, 0, 1);
  run.event("mapping_remove", kMetaLock, {"engine/thin/metadata_mappings.cc", 100}, 0, 0, 1);
  run.event("discard_passdown", kPool, {"engine/thin/discard.cc", 156}, 0, 1);
  const auto discard = run.submit(kData, BioOp::discard, 0, 128, {"engine/thin/discard.cc", 170});
  run.event("cell_release", kPrison, {"engine/thin/discard.cc", 171}, 1ULL << 32U, 0);
  run.steps(3);

  // The worker is put aside while the writer queues its write.
  run.decide("run", kActorB, true, true, "spin_lock pool.deferred",
             {"engine/thin/pool_worker.cc", 88});
  run.submit(kMapped, BioOp::write, 128, 128, {"scenarios/lab.cc", 212});
  run.event("cell_detain", kPrison, {"engine/thin/thin_device.cc", 141}, 0, 1, 1);
  run.event("spin_lock", kDeferred, {"engine/thin/thin_device.cc", 160});
  run.event("spin_unlock", kDeferred, {"engine/thin/thin_device.cc", 163});
  run.park({"completion bio", 62}, {"scenarios/lab.cc", 214}, engine::OpKind::completion_wait);
  run.decide("run", kWorker, false);
  run.steps(9);
  run.commit();
  run.event("data_block_alloc", kMetaLock, {"engine/thin/metadata_space.cc", 17}, 0);
  run.event("data_block_alloc", kPool, {"engine/thin/provision.cc", 96}, 0);
  run.event("mapping_insert", kMetaLock, {"engine/thin/metadata_mappings.cc", 82}, 0, 1, 0);
  run.event("mapping_insert", kPool, {"engine/thin/provision.cc", 221}, 0, 1, 0);
  const auto write = run.submit(kData, BioOp::write, 0, 128, {"engine/thin/provision.cc", 180});
  run.park({"work_queue pool.worker", 16}, {"engine/fiber/work_queue.cc", 130},
           engine::OpKind::work_run);

  // The disk prefers the younger write.
  run.effect(write, kData, BioOp::write, 0, 128, true);
  end_write(run, write, kActorB, 1);
  run.event("fiber_exit", {"fiber fiber", 0}, {});
  run.decide("run", kActorB, false);
  run.submit(kMapped, BioOp::read, 128, 128, {"scenarios/lab.cc", 220});
  run.event("cell_detain", kPrison, {"engine/thin/thin_device.cc", 141}, 0, 1, 1);
  run.event("cell_release", kPrison, {"engine/thin/thin_device.cc", 150}, 0, 1);
  const auto read = run.submit(kData, BioOp::read, 0, 128, {"engine/thin/thin_device.cc", 155});
  run.park({"completion bio", 63}, {"scenarios/lab.cc", 222}, engine::OpKind::completion_wait);
  run.effect(discard, kData, BioOp::discard, 0, 128);
  run.complete(discard, kData, 0, 128);
  run.event("discard_done", kPool, {"engine/thin/discard.cc", 243}, 0, 1);
  run.wake(kActorA, {"engine/fiber/completion.cc", 30});
  run.effect(read, kData, BioOp::read, 0, 128);
  run.complete(read, kData, 0, 128);
  run.event("bio_complete", kMapped, {"engine/io/mapped_bio.cc", 44}, 128, 128, 0);
  run.wake(kActorB, {"engine/fiber/completion.cc", 30});
  run.decide("run", kActorB, false);
  return run.take("checker",
                  "thin 0 sector 128 reads as 0x6761726261676500 (no write of ours), permitted: "
                  "write 2",
                  "data_oracle: foreign data", "actor b#4");
}

Trace deadlocked() {
  Recorder run;
  const Object first{"mutex first", 41};
  const Object second{"mutex second", 42};
  run.trace().workload = "scenario = \"locks\"\n";
  run.as(kActorA).event("mutex_lock", first, {"engine/x.cc", 10});
  run.decide("run", kActorB, true, true, "mutex_lock second", {"engine/x.cc", 11});
  run.event("mutex_lock", second, {"engine/x.cc", 20});
  run.park(first, {"engine/x.cc", 21}, engine::OpKind::mutex_lock);
  run.decide("run", kActorA, false);
  run.park(second, {"engine/x.cc", 11}, engine::OpKind::mutex_lock);
  Trace trace =
      run.take("deadlock",
               "actor a waits for second, which actor b holds; actor b waits for first, "
               "which actor a holds",
               "first, second", "",
               "actor a#3 waits to lock mutex second@42 at engine/x.cc:11, held by actor b#4\n"
               "actor b#4 waits to lock mutex first@41 at engine/x.cc:21, held by actor a#3\n");
  trace.defect.circle = {{"actor a#3", "second@42", "waits\nengine/x.cc:11"},
                         {"second@42", "actor b#4", "held by"},
                         {"actor b#4", "first@41", "waits\nengine/x.cc:21"},
                         {"first@41", "actor a#3", "held by"}};
  return trace;
}

}   // namespace traces
