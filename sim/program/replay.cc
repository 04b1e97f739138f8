// wavetank replay and wavetank shrink: a recorded run again, exactly or smaller.
#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "scenarios/workload_text.h"
#include "sim/finding_folder.h"
#include "sim/program/child.h"
#include "sim/program/commands.h"
#include "sim/program/complaint.h"
#include "sim/program/cut_images.h"
#include "sim/program/reproducer.h"
#include "sim/program/run.h"
#include "sim/strategy_replay.h"
#include "traces/reader.h"

namespace program {
namespace {

tl::expected<Reproducer, std::string> reproducer_of(const traces::Trace& trace) {
  if (trace.of_program())
    return tl::unexpected(std::string{"a trace of a program, which replays it itself (--replay)"});
  auto workload = scenarios::from_toml(trace.workload);
  if (!workload) return tl::unexpected(fmt::format("its workload: {}", workload.error()));
  auto schedule = sim::Schedule::from_text(trace.schedule);
  if (!schedule)
    return tl::unexpected(
        fmt::format("its schedule: line {}: {}", schedule.error().where, schedule.error().what));
  return Reproducer{.workload = *std::move(workload),
                    .schedule = *std::move(schedule),
                    .seed = trace.seed,
                    .strategy = trace.strategy,
                    .mutant = trace.mutant,
                    .signature = trace.defect.kind + " " + trace.defect.place,
                    .preemptions = trace.preemptions,
                    .crashes = trace.defect.kind == "crash"};
}

// Runs the schedule in a child and says where it left the recorded one, if it did.
struct Replayed {
  std::optional<traces::Trace> trace;   // of the run, when it failed
  std::string divergence;
};

Replayed replay_it(const Reproducer& reproducer, const Watch& watch) {
  Replayed result;
  result.trace = record(reproducer, watch);
  if (reproducer.crashes) return result;
  const ChildResult child = run_in_child(
      [&] {
        sim::Execution execution;
        sim::Replay replay{reproducer.schedule};
        static_cast<void>(run(execution, reproducer.workload,
                              {.seed = reproducer.seed,
                               .strategy = &replay,
                               .trace = true,
                               .fair_end = reproducer.fair_end()}));
        return replay.divergence() ? replay.divergence()->text : std::string{};
      },
      60);
  result.divergence = child.bytes;
  return result;
}

int complain_of(const std::filesystem::path& where, const std::string& error) {
  return complain(fmt::format("{}: {}", where.string(), error));
}

}   // namespace

int replay(const ReplayOptions& options) {
  const auto trace = sim::load_trace(options.trace);
  if (!trace) return complain(trace.error());
  const auto reproducer = reproducer_of(*trace);
  if (!reproducer) return complain_of(options.trace, reproducer.error());
  std::optional<CutImages> images;
  if (!options.images.empty()) {
    images.emplace(options.images);
    if (const std::string error = images->open(); !error.empty()) return complain(error);
  }
  const Replayed again =
      replay_it(*reproducer, images ? images->watch(reproducer->workload) : Watch{});
  if (images && !images->failure().empty()) return complain(images->failure());
  if (!again.divergence.empty() && options.strict)
    return complain_of(options.trace, "diverges " + again.divergence);
  const bool same = again.trace && again.trace->digest == trace->digest;
  if (options.json) {
    nlohmann::ordered_json report{{"found", again.trace.has_value()},
                                  {"divergence", again.divergence},
                                  {"as_recorded", same}};
    if (again.trace) {
      report["digest"] = fmt::format("{:016x}", again.trace->digest);
      report["signature"] = again.trace->defect.kind + " " + again.trace->defect.place;
      report["message"] = again.trace->defect.message;
      report["detail"] = again.trace->defect.detail;
      report["circle"] = nlohmann::ordered_json::array();
      for (const traces::CircleEdge& edge : again.trace->defect.circle)
        report["circle"].push_back({{"from", edge.from}, {"to", edge.to}, {"why", edge.why}});
    }
    if (images) report["cuts"] = images->cuts();
    fmt::print("{}\n", report.dump(2));
    return again.trace ? 1 : 0;
  }
  if (!again.divergence.empty()) fmt::print("diverges: {}\n", again.divergence);
  if (images) fmt::print("{}\n", images->summary());
  if (!again.trace) {
    fmt::print("no finding: the recorded one was {}: {}\n", trace->defect.kind,
               trace->defect.message);
    return 0;
  }
  fmt::print("finding: {}: {}\nmessage: {}\ndigest: {:016x} ({})\npoints: {}\npreemptions: {}\n",
             again.trace->defect.kind, again.trace->defect.place, again.trace->defect.message,
             again.trace->digest, same ? "as recorded" : "not as recorded", again.trace->points,
             again.trace->preemptions);
  return 1;
}

int shrink(const ShrinkOptions& options) {
  const auto trace = sim::load_trace(options.trace);
  if (!trace) return complain(trace.error());
  auto reproducer = reproducer_of(*trace);
  if (!reproducer) return complain_of(options.trace, reproducer.error());
  if (!record(*reproducer)) {
    fmt::print("no finding: nothing to shrink\n");
    return 0;
  }
  ShrinkLimits limits;
  limits.seconds_max = options.seconds;
  limits.say = [](const std::string& line) { fmt::print("shrunk {}\n", line); };
  const Reproducer small = shrink(*std::move(reproducer), limits);
  const auto recorded = record(small);
  if (!recorded) return complain_of(options.trace, "the shrunk run does not fail again");
  const std::filesystem::path folder =
      options.out.empty() ? std::filesystem::path{"out"} / sim::folder_name(*recorded)
                          : options.out;
  const auto written = sim::write_finding(folder, *recorded, replay_command(folder));
  if (!written) return complain(written.error());
  fmt::print("{} operations, {} preemptions\n{}\nreplay: {}\n", small.workload.operation_count(),
             small.preemptions, folder.string(), replay_command(folder));
  return 1;
}

}   // namespace program
