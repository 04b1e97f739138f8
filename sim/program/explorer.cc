#include "sim/program/explorer.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "sim/program/run.h"
#include "sim/program/tank_world.h"
#include "traces/names.h"

namespace program {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kWalks = 100;
// More images are as good as that many, and JSON knows no infinity.
constexpr double kAlikeMost = 1e300;

// In numbers: what happened, where, and to what. Not when, nor which of several alike.
std::uint64_t digest_of(const engine::Event& event) noexcept {
  std::uint64_t digest = 0xCBF29CE484222325ULL;
  const auto add = [&](std::uint64_t value) { digest = (digest ^ value) * 0x100000001B3ULL; };
  add(static_cast<std::uint64_t>(event.op));
  add(event.where.line());
  for (const std::uint64_t value : {event.a, event.b, event.c})
    add(value);
  return digest;
}

// Of all disks together.
// Images of all disks together for which these stand.
double alike(const DiskImages& disks) {
  double product = 1;
  for (const auto& [name, image] : disks)
    product *= image->alike();
  return product;
}

std::uint64_t digest_of(const DiskImages& disks) {
  std::uint64_t digest = 0;
  for (const auto& [name, image] : disks)
    digest = digest * 0x9E3779B97F4A7C15ULL + image->digest();
  return digest;
}

sim::Bounds bounds_of(const ExploreOptions& options) {
  return {.preemptions = options.preemptions.value_or(0),
          .faults = options.faults_most(),
          .faults_too = {kPowerCut},
          .schedules = !options.cuts || options.preemptions.has_value(),
          .retries = options.retries,
          .indifferent = {kRateOfFaults},
          .always = {sim::kCutLeaves},
          .checks = options.check};
}

}   // namespace

std::string Report::to_text() const {
  Json json{{"naive", naive},
            {"learnt", learnt},
            {"images", images},
            {"images_alike", images_alike},
            {"left_out", left_out},
            {"contradictions", contradictions},
            {"contradiction", contradiction}};
  if (finding) {
    json["finding"] = {{"signature", finding->signature},
                       {"message", finding->message},
                       {"schedule", finding->schedule},
                       {"preemptions", finding->preemptions}};
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Report Report::from_text(const std::string& text) {
  const Json json = Json::parse(text);
  Report report{.naive = json["naive"],
                .learnt = json["learnt"],
                .images = json["images"],
                .images_alike = json["images_alike"],
                .left_out = json["left_out"],
                .contradictions = json["contradictions"],
                .contradiction = json["contradiction"]};
  if (json.contains("finding")) {
    const Json& finding = json["finding"];
    report.finding = Exploration::Finding{.signature = finding["signature"],
                                          .message = finding["message"],
                                          .schedule = finding["schedule"],
                                          .preemptions = finding["preemptions"]};
  }
  return report;
}

Explorer::Explorer(const ExploreOptions& options, const scenarios::Workload& workload,
                   sim::StatesSeen& seen, Board& board, const std::vector<std::uint64_t>& learnt)
    : options_{options}, workload_{workload}, board_{board}, search_{bounds_of(options), &seen} {
  search_.learn(learnt);
}

const sim::Outcome& Explorer::execute() {
  std::optional<std::pair<std::uint64_t, double>> left;   // digest, and how many are alike
  Watch watch{.actors = [this](bool start) { search_.follow_rule(!start); },
              .cut = [&](const DiskImages& /*left*/) { search_.follow_rule(true); },
              .left = [&](const DiskImages& disks) { left = {digest_of(disks), alike(disks)}; },
              .judged = [this] { return !search_.was_cut_short(); }};
  if (options_.check) watch.event = [this](const engine::Event& event) { observe(event); };
  const sim::Outcome& outcome = run(execution_, workload_,
                                    {.seed = seed_of(options_),
                                     .strategy = &search_,
                                     .judges = options_.judges,
                                     .watch = watch,
                                     .fair_end = false});
  board_.points += outcome.points;
  if (!search_.was_cut_short()) timers_kept_waiting_ += execution_.timers_kept_waiting();
  if (search_.was_new()) ++board_.classes;
  if (left && search_.was_new()) {
    ++board_.cuts;
    images_.insert(left->first);
    report_.images_alike = std::min(report_.images_alike + left->second, kAlikeMost);
  }
  return outcome;
}

bool Explorer::walk(std::uint64_t seed, sim::TreeEstimate& estimate) {
  search_.probe(seed);
  const std::uint64_t points = board_.points;
  const sim::Outcome& outcome = execute();
  board_.points = points;   // those are not the search's
  if (outcome.finding) {
    found(outcome);
    return false;
  }
  if (const auto ways = search_.ways()) estimate.add(*ways);
  return true;
}

std::string Explorer::estimate() {
  sim::TreeEstimate estimate;
  for (std::uint64_t i = 0; estimate.walks() < kWalks; ++i) {
    if (!walk(i, estimate)) break;
  }
  report_.naive = estimate.told();
  return report();
}

std::string Explorer::estimate_further(const sim::TreeEstimate& so_far, std::uint64_t walks_max) {
  sim::TreeEstimate estimate = so_far;
  for (std::uint64_t i = 0; i < walks_max && estimate.is_wide() && !is_late(); ++i) {
    if (!walk(kWalks + 1 + i, estimate)) break;   // other seeds than those had
  }
  report_.naive = estimate.told();
  return report();
}

bool Explorer::is_late() const {
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - board_.began;
  return passed.count() > options_.seconds;
}

std::string Explorer::work(BranchQueue& queue, std::uint32_t number) {
  for (auto branch = queue.take(); branch; branch = queue.take()) {
    if (!explore(*branch, queue, number)) {
      queue.close();
      break;
    }
  }
  return report();
}

bool Explorer::explore(const sim::Branch& branch, BranchQueue& queue, std::uint32_t number) {
  search_.take_over(branch);
  board_.left[number] = 0;
  for (;;) {
    const sim::Outcome& outcome = execute();
    ++board_.executions;
    if (outcome.finding) {
      found(outcome);
      return false;
    }
    if (search_.must_begin_anew()) {
      board_.anew = true;
      return false;
    }
    if (!search_.next()) return true;
    if (queue.is_wanted()) {
      if (const auto part = search_.give_away(BranchQueue::kChoicesMax)) queue.put(*part);
    }
    if (is_late()) board_.ended = Board::Ended::time;
    if (board_.classes >= options_.executions_max) board_.ended = Board::Ended::executions;
    if (board_.ended != Board::Ended::not_yet || queue.is_closed()) {
      board_.left[number] = search_.left();
      return false;
    }
  }
}

void Explorer::found(const sim::Outcome& outcome) {
  report_.finding = Exploration::Finding{.signature = outcome.finding->signature(),
                                         .message = outcome.finding->message,
                                         .schedule = outcome.schedule.to_text(),
                                         .preemptions = outcome.preemptions};
}

void Explorer::observe(const engine::Event& event) {
  // What executors tell of fibers has their numbers, which count what was started before.
  if (event.op >= engine::OpKind::fiber_spawn && event.op <= engine::OpKind::fiber_unpark) return;
  const std::uint64_t digest = digest_of(event);
  search_.observe(digest);
  const auto [at, is_new] = observed_.try_emplace(digest);
  if (!is_new) return;
  at->second = fmt::format("{}:{} {} {}({}, {}, {})", event.where.file_name(), event.where.line(),
                           event.object != nullptr ? event.object->name : "",
                           traces::name_of(event.op), event.a, event.b, event.c);
}

std::string Explorer::describe_contradiction() const {
  const auto text = [&](std::uint64_t what) {
    const auto found = observed_.find(what);
    if (what == 0) return std::string{"nothing"};
    return found == observed_.end() ? std::string{"a point"} : found->second;
  };
  const sim::Bounded::Contradiction& first = search_.contradiction();
  return fmt::format("after {}: once {}, then {}", text(first.after), text(first.once),
                     text(first.then));
}

std::string Explorer::report() {
  report_.learnt = search_.learnt();
  report_.images.assign(images_.begin(), images_.end());
  report_.left_out = search_.left_out();
  if (timers_kept_waiting_ != 0) report_.left_out[sim::kTimerKeptWaiting] = timers_kept_waiting_;
  report_.contradictions = search_.contradictions();
  if (report_.contradictions != 0) report_.contradiction = describe_contradiction();
  return report_.to_text();
}

}   // namespace program
