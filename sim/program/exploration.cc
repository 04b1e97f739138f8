#include "sim/program/exploration.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "sim/program/branch_queue.h"
#include "sim/program/child.h"
#include "sim/program/explorer.h"
#include "sim/program/run.h"
#include "sim/program/shared_memory.h"
#include "sim/states_seen.h"

namespace program {
namespace {

using Clock = std::chrono::steady_clock;

// What an execution may take on top of the time asked for, and that much more for good measure.
constexpr double kSecondsToEnd = 120;
constexpr std::uint32_t kExplorersMost = 256;
constexpr double kPatience = 0.02;           // between looks at one worker and the next
constexpr std::uint64_t kWalksOfBegun = 4;   // one for so many executions begun

class Foreman {
 public:
  Foreman(const ExploreOptions& options, const scenarios::Workload& workload)
      : options_{options},
        workload_{workload},
        jobs_{std::clamp(options.jobs != 0 ? options.jobs : std::thread::hardware_concurrency(), 1U,
                         kExplorersMost)} {
    board_->began = Clock::now();
  }
  ~Foreman() = default;
  Foreman(const Foreman&) = delete;
  Foreman& operator=(const Foreman&) = delete;

  Exploration run() {
    if (estimate()) {
      while (work())
        begin_anew();
      estimate_further();
    }
    const std::uint64_t run = board_->executions;
    end_.executions = seen_.classes();
    end_.naive = naive_.estimated();
    // Those that were counted are among them.
    end_.naive.is_at_least(static_cast<double>(end_.executions));
    end_.cut_short = run - std::min(run, end_.executions);
    end_.points = board_->points;
    end_.cuts = board_->cuts;
    end_.images = images_.size();
    end_.states = seen_.states();
    end_.forgotten = seen_.forgotten();
    end_.seconds = seconds();
    const bool all = end_.ended == Exploration::Ended::complete;
    end_.done = all ? 1 : static_cast<double>(run) / (static_cast<double>(run) + left_);
    // What a walk has found is told if there is nothing else to tell.
    if (!end_.finding && by_walk_) {
      end_.finding = by_walk_;
      end_.finding->by_walk = true;
    }
    if (end_.finding) end_.ended = Exploration::Ended::found;
    return end_;
  }

 private:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(Clock::now() - board_->began).count();
  }
  // False: the process died.
  bool estimate() {
    Child child{[&] { return Explorer{options_, workload_, seen_, *board_, {}}.estimate(); }};
    if (!await(child)) return false;
    const Report report = Report::from_text(child.result().bytes);
    naive_ = sim::TreeEstimate{report.naive};
    by_walk_ = report.finding;
    learn(report);
    return true;
  }
  // Where the first walks leave much open, so many more that it costs little beside the rest. Of
  // cuts that number is not told.
  void estimate_further() {
    const bool has_gone_on =
        end_.ended == Exploration::Ended::complete || end_.ended == Exploration::Ended::executions;
    if (!has_gone_on || end_.finding || by_walk_ || options_.cuts || !naive_.is_wide()) return;
    Child child{[&] {
      return Explorer{options_, workload_, seen_, *board_, learnt_}.estimate_further(
          naive_, board_->executions / kWalksOfBegun);
    }};
    if (!await(child)) return;
    const Report report = Report::from_text(child.result().bytes);
    naive_ = sim::TreeEstimate{report.naive};
    by_walk_ = report.finding;
  }
  // True: all of it once more, with what has been learnt.
  bool work() {
    BranchQueue queue{jobs_};
    queue.put({});
    std::vector<std::unique_ptr<Child>> children;
    for (std::uint32_t i = 0; i < jobs_; ++i) {
      children.push_back(std::make_unique<Child>([&, i] {
        return Explorer{options_, workload_, seen_, *board_, learnt_}.work(queue, i);
      }));
    }
    std::vector<bool> told(children.size(), false);
    for (std::size_t left = children.size(); left != 0;) {
      for (std::size_t i = 0; i < children.size(); ++i) {
        if (told[i] || !children[i]->wait(kPatience)) continue;
        told[i] = true;
        --left;
        if (take(*children[i], i)) continue;
        blame_the_killed(children);
        return false;
      }
      if (seconds() > options_.seconds + kSecondsToEnd) {
        for (const auto& child : children)
          child->kill_as_too_slow();
      }
    }
    left_ = queue.executions_left();
    for (std::uint32_t i = 0; i < jobs_; ++i)
      left_ += board_->left[i];
    if (board_->ended == Board::Ended::time) end_.ended = Exploration::Ended::time;
    if (board_->ended == Board::Ended::executions) end_.ended = Exploration::Ended::executions;
    return board_->anew && !end_.finding && end_.ended == Exploration::Ended::complete;
  }
  void begin_anew() {
    board_->anew = false;
    seen_.forget_states();
  }
  bool await(Child& child) {
    if (!child.wait(options_.seconds + kSecondsToEnd)) child.kill_as_too_slow();
    return lives(child, 0);
  }
  bool lives(const Child& child, std::size_t worker) {
    const ChildResult& result = child.result();
    end_.death = death_of(result);
    if (end_.death.empty()) return true;
    end_.ended = Exploration::Ended::died;
    end_.killed = static_cast<std::uint32_t>(worker);
    end_.killed_by = !result.timed_out && is_from_outside(result.signal) ? result.signal : 0;
    return false;
  }
  // Of several deaths those from outside come first: the others may follow from what such a one
  // left half done in the memory that they share.
  void blame_the_killed(const std::vector<std::unique_ptr<Child>>& children) {
    for (std::size_t i = 0; i < children.size() && end_.killed_by == 0; ++i) {
      if (children[i]->wait(kPatience) && is_from_outside(children[i]->result().signal))
        static_cast<void>(lives(*children[i], i));
    }
  }
  bool take(const Child& child, std::size_t worker) {
    if (!lives(child, worker)) return false;
    const Report report = Report::from_text(child.result().bytes);
    learn(report);
    images_.insert(report.images.begin(), report.images.end());
    end_.images_alike += report.images_alike;
    end_.contradictions += report.contradictions;
    if (end_.contradiction.empty()) end_.contradiction = report.contradiction;
    for (const auto& [what, times] : report.left_out)
      end_.left_out[what] += times;
    if (report.finding && !end_.finding) end_.finding = report.finding;
    return true;
  }
  void learn(const Report& report) {
    learnt_.insert(learnt_.end(), report.learnt.begin(), report.learnt.end());
  }

  const ExploreOptions& options_;
  const scenarios::Workload& workload_;
  const std::uint32_t jobs_;
  SharedMemory<Board> board_;
  sim::StatesSeen seen_{sim::StatesSeen::Of::all_forked, options_.memory_mib << 20U};
  std::vector<std::uint64_t> learnt_{};   // as sim::Bounded tells it
  std::set<std::uint64_t> images_{};
  std::optional<Exploration::Finding> by_walk_{};   // by a random walk
  sim::TreeEstimate naive_;
  double left_ = 0;
  Exploration end_;
};

}   // namespace

const char* to_string(Exploration::Ended ended) noexcept {
  switch (ended) {
    case Exploration::Ended::complete:
      return "complete";
    case Exploration::Ended::found:
      return "found";
    case Exploration::Ended::time:
      return "time";
    case Exploration::Ended::executions:
      return "executions";
    case Exploration::Ended::died:
      return "died";
  }
  return "";
}

std::uint64_t seed_of(const ExploreOptions& options) noexcept {
  const std::uint64_t seed = options.every_image ? kEveryImageSeed : kEveryReadingSeed;
  return options.timers ? seed | kTimersRaceSeed : seed;
}

// What a worker that is killed was about to do is lost, and counts as seen: it is all begun again.
Exploration explore(const ExploreOptions& options, const scenarios::Workload& workload) {
  const Exploration first = Foreman{options, workload}.run();
  if (first.killed_by == 0) return first;
  const std::string what =
      fmt::format("worker {} was killed by signal {}", first.killed, first.killed_by);
  fmt::print(stderr, "wavetank: {}; exploring once more, from the beginning\n", what);
  ExploreOptions rest = options;
  rest.seconds = std::max(options.seconds - first.seconds, 1.0);
  Exploration second = Foreman{rest, workload}.run();
  second.seconds += first.seconds;
  if (second.ended != Exploration::Ended::died)
    fmt::print(stderr, "wavetank: {} and does not die of it again; gone on\n", what);
  return second;
}

}   // namespace program
