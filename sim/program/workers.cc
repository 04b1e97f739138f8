#include "sim/program/workers.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <optional>

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "engine/fiber/fiber.h"
#include "sim/program/child.h"
#include "sim/program/shared_memory.h"

namespace program {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kSpoiled = 3;   // exit status: another worker is to go on
// A worker that has not finished one schedule in that time hangs without reaching a point.
constexpr double kHangSeconds = 30;
constexpr std::size_t kDistinctCells = std::size_t{1} << 20;
constexpr std::size_t kJobsMax = 256;

// One schedule that a worker has run.
struct Ran {
  std::uint64_t ordinal = 0;
  std::uint64_t points = 0;
  std::uint64_t digest = 0;
};

// Shared between a worker and the parent. A schedule counts when it is in `ran`, so that a worker
// that is killed has run it or has not.
struct alignas(64) Slot {
  std::atomic<std::uint64_t> ordinal{0};   // being run
  std::atomic<std::uint64_t> since{0};     // Catch::since
  std::atomic<std::uint64_t> put{0};       // into `ran`, by the worker
  std::atomic<std::uint64_t> taken{0};     // out of it, by the parent
  std::array<Ran, 16384> ran{};

  // In the worker, whose parent takes out what is too much.
  void add(const Ran& each, pid_t parent) noexcept {
    const std::uint64_t at = put.load(std::memory_order_relaxed);
    while (at - taken.load(std::memory_order_acquire) == ran.size()) {
      if (getppid() != parent) _exit(1);   // nobody asks any more
      usleep(1000);
    }
    ran[at % ran.size()] = each;
    put.store(at + 1, std::memory_order_release);
  }
};

// Shared between all of them.
struct Board {
  // Of the schedules with a digest for that cell the first one's ordinal, and one; 0: there is
  // none.
  std::array<std::atomic<std::uint64_t>, kDistinctCells> seen{};

  void see(const Ran& ran) noexcept {
    auto& cell = seen[(ran.digest ^ ran.digest >> 32U) % kDistinctCells];
    std::uint64_t first = cell.load(std::memory_order_relaxed);
    while ((first == 0 || ran.ordinal + 1 < first) &&
           !cell.compare_exchange_weak(first, ran.ordinal + 1, std::memory_order_relaxed))
      continue;
  }
};

constexpr std::uint64_t kAll = ~std::uint64_t{0};

// Of the schedules up to that one. Linear counting (Whang et al., 1990): distinct values from the
// share of empty cells.
std::uint64_t distinct_of(const Board& board, std::uint64_t last) {
  const auto set = static_cast<std::size_t>(
      std::count_if(board.seen.begin(), board.seen.end(), [&](const auto& cell) {
        const std::uint64_t first = cell.load(std::memory_order_relaxed);
        return first != 0 && first - 1 <= last;
      }));
  if (set >= kDistinctCells) return kDistinctCells;
  const double empty =
      static_cast<double>(kDistinctCells - set) / static_cast<double>(kDistinctCells);
  return static_cast<std::uint64_t>(
      std::llround(-static_cast<double>(kDistinctCells) * std::log(empty)));
}

struct Worker {
  pid_t pid = -1;
  int pipe = -1;
  std::uint64_t next = 0;    // ordinal to go on with
  std::uint64_t since = 0;   // from which its strategy learns: those before `next` do not count
  std::string told;
  std::uint64_t last_ordinal = 0;
  Clock::time_point moved = Clock::now();
  std::optional<std::uint64_t> last_ran;   // that counted
  // It is being run again, as the process was killed by a signal from outside.
  std::optional<std::uint64_t> again;
  int signal = 0;
};

class Crew {
 public:
  explicit Crew(const WorkerPlan& plan) : plan_{plan} {
    workers_.resize(std::min<std::size_t>(std::max(plan.jobs, 1U), kJobsMax));
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      workers_[i].next = workers_[i].since = i * plan.round;
      slots_.push_back(std::make_unique<SharedMemory<Slot>>());
    }
  }
  ~Crew() {
    for (Worker& worker : workers_)
      dismiss(worker);
  }
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  SearchEnd run() {
    for (std::size_t i = 0; i < workers_.size(); ++i)
      start(i);
    while (!over()) {
      wait_a_moment();
      plan_.show(progress(kAll));
    }
    SearchEnd end;
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      dismiss(workers_[i]);
      take_in(i);
    }
    for (auto& [signature, caught] : catches_)
      end.catches.push_back(caught);
    std::sort(end.catches.begin(), end.catches.end(),
              [](const Catch& a, const Catch& b) { return a.ordinal < b.ordinal; });
    if (plan_.stop_at_first && end.catches.size() > 1) end.catches.resize(1);
    const bool stopped = plan_.stop_at_first && !end.catches.empty();
    end.progress = progress(stopped ? end.catches.front().ordinal : kAll);
    return end;
  }

 private:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(Clock::now() - began_).count();
  }
  [[nodiscard]] bool over() const {
    if (plan_.seconds_max > 0 && seconds() >= plan_.seconds_max) return true;
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      if (workers_[i].pid >= 0 && matters(ordinal_of(i))) return false;
    }
    return true;
  }
  [[nodiscard]] std::uint64_t ordinal_of(std::size_t worker) const {
    return slot(worker).ordinal.load(std::memory_order_relaxed);
  }
  [[nodiscard]] Slot& slot(std::size_t worker) const { return **slots_[worker]; }
  // What comes after the first finding does not.
  [[nodiscard]] bool matters(std::uint64_t ordinal) const {
    return !plan_.stop_at_first ||
           std::all_of(catches_.begin(), catches_.end(),
                       [&](const auto& each) { return ordinal < each.second.ordinal; });
  }
  // The one that the worker of that ordinal runs next.
  [[nodiscard]] std::uint64_t after(std::uint64_t ordinal) const {
    const std::uint64_t next = ordinal + 1;
    return next % plan_.round != 0 ? next : next + (workers_.size() - 1) * plan_.round;
  }
  // Of the schedules up to that one: kAll, or one before which all have been run.
  [[nodiscard]] Progress progress(std::uint64_t last) const {
    Progress all = settled_;
    for (const Ran& ran : ahead_) {
      if (ran.ordinal <= last) count(ran, all);
    }
    all.distinct = distinct_of(*board_, last);
    all.findings = catches_.size();
    all.seconds = seconds();
    return all;
  }
  static void count(const Ran& ran, Progress& all) noexcept {
    ++all.schedules;
    all.points += ran.points;
    all.digest += (ran.digest ^ ran.ordinal) * 0x9E3779B97F4A7C15ULL;
  }

  // What that worker has run since it was asked last.
  void take_in(std::size_t index) {
    Slot& from = slot(index);
    std::uint64_t at = from.taken.load(std::memory_order_relaxed);
    const std::uint64_t put = from.put.load(std::memory_order_acquire);
    for (; at != put; ++at) {
      const Ran& ran = from.ran[at % from.ran.size()];
      workers_[index].last_ran = ran.ordinal;
      ahead_.push_back(ran);
    }
    from.taken.store(at, std::memory_order_release);
    std::optional<std::uint64_t>& again = workers_[index].again;
    if (!again || workers_[index].last_ran < again) return;
    tell_gone_on(index);
    again.reset();
  }
  // Those that come before whatever may yet be found count in any case.
  void settle() {
    std::uint64_t first = kAll;
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      if (workers_[i].pid >= 0) first = std::min(first, ordinal_of(i));
    }
    if (plan_.stop_at_first) {
      for (const auto& [signature, caught] : catches_)
        first = std::min(first, caught.ordinal);
    }
    std::erase_if(ahead_, [&](const Ran& ran) {
      if (ran.ordinal >= first) return false;
      count(ran, settled_);
      return true;
    });
  }

  void start(std::size_t index) {
    Worker& worker = workers_[index];
    if (worker.next >= plan_.schedules || !matters(worker.next)) return;
    slot(index).ordinal.store(worker.next, std::memory_order_relaxed);
    int ends[2] = {-1, -1};
    if (pipe2(ends, O_CLOEXEC) != 0) return;
    std::fflush(nullptr);
    engine::Fiber::prepare_fork();
    worker.pid = fork();
    if (worker.pid == 0) {
      close(ends[0]);
      confine_memory();
      work(slot(index), worker.since, worker.next, ends[1]);
    }
    close(ends[1]);
    worker.pipe = ends[0];
    worker.told.clear();
    worker.moved = Clock::now();
  }

  // In the worker: does not return. Schedules before `counted` are run for the strategy to learn
  // from.
  [[noreturn]] void work(Slot& slot, std::uint64_t first, std::uint64_t counted, int out) {
    for (std::uint64_t ordinal = first; ordinal < plan_.schedules; ordinal = after(ordinal)) {
      if (ordinal >= counted) slot.ordinal.store(ordinal, std::memory_order_relaxed);
      if (ordinal == first || ordinal % plan_.round == 0) {
        slot.since.store(ordinal, std::memory_order_relaxed);
        plan_.begin_round();
      }
      const Verdict verdict = plan_.run(ordinal);
      if (ordinal < counted) continue;
      if (verdict.found) tell(verdict, out);
      const Ran ran{ordinal, verdict.points, verdict.digest};
      board_->see(ran);
      slot.add(ran, parent_);
      if (verdict.found) _exit(1);
      if (verdict.spoiled) _exit(kSpoiled);   // what it left behind is best left behind
    }
    _exit(0);
  }
  static void tell(const Verdict& verdict, int out) {
    const std::string told = verdict.signature + '\n' + verdict.message;
    std::size_t at = 0;
    while (at < told.size()) {
      const ssize_t written = write(out, told.data() + at, told.size() - at);
      if (written <= 0) break;
      at += static_cast<std::size_t>(written);
    }
  }

  void wait_a_moment() {
    std::vector<pollfd> waiting;
    for (const Worker& worker : workers_) {
      if (worker.pid >= 0) waiting.push_back({worker.pipe, POLLIN, 0});
    }
    poll(waiting.data(), waiting.size(), 200);
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      if (workers_[i].pid >= 0) look_after(i);
    }
    settle();
  }

  void look_after(std::size_t index) {
    Worker& worker = workers_[index];
    take_in(index);
    const std::uint64_t ordinal = ordinal_of(index);
    if (ordinal != worker.last_ordinal) {
      worker.last_ordinal = ordinal;
      worker.moved = Clock::now();
    }
    pollfd waiting{worker.pipe, POLLIN, 0};
    while (poll(&waiting, 1, 0) > 0) {
      std::array<char, 4096> buffer{};
      const ssize_t got = read(worker.pipe, buffer.data(), buffer.size());
      if (got > 0) {
        worker.told.append(buffer.data(), static_cast<std::size_t>(got));
        continue;
      }
      if (got < 0 && errno == EINTR) continue;
      ended(index, ordinal, false);
      return;
    }
    const double still = std::chrono::duration<double>(Clock::now() - worker.moved).count();
    if (still > kHangSeconds) {
      kill(worker.pid, SIGKILL);
      ended(index, ordinal, true);
    }
  }

  void ended(std::size_t index, std::uint64_t ordinal, bool hung) {
    Worker& worker = workers_[index];
    int status = 0;
    while (waitpid(worker.pid, &status, 0) < 0 && errno == EINTR)
      continue;
    close(worker.pipe);
    worker.pid = -1;
    worker.pipe = -1;
    take_in(index);
    const std::uint64_t since = slot(index).since.load(std::memory_order_relaxed);
    const bool died = hung || WIFSIGNALED(status);
    const bool from_outside = !hung && WIFSIGNALED(status) && is_from_outside(WTERMSIG(status));
    if (from_outside && worker.again != ordinal) {
      run_again(index, ordinal, since, WTERMSIG(status));
      return;
    }
    worker.again.reset();
    if (died ? !plan_.deaths_count : WEXITSTATUS(status) == kSpoiled && worker.told.empty()) {
      go_on_behind(index, ordinal);
      return;
    }
    const auto caught = [&](std::uint64_t at, std::string signature, std::string message) {
      note({at, since, std::move(signature), std::move(message), from_outside});
    };
    if (hung) {
      caught(ordinal, "crash hang", "one schedule did not end and reached no scheduling point");
    } else if (WIFSIGNALED(status)) {
      const std::string name = signal_name(WTERMSIG(status));
      caught(ordinal, fmt::format("crash {}", name),
             from_outside ? fmt::format("killed from outside by signal {}, and once more when run "
                                        "again: has memory run out?",
                                        WTERMSIG(status))
                          : fmt::format("the engine died: {}", name));
    } else if (!worker.told.empty()) {
      const std::size_t line = worker.told.find('\n');
      caught(ordinal, worker.told.substr(0, line),
             line == std::string::npos ? "" : worker.told.substr(line + 1));
    } else if (WEXITSTATUS(status) != 0) {
      caught(ordinal, fmt::format("crash exit {}", WEXITSTATUS(status)),
             "the process ended in the middle of a schedule");
    } else {
      return;   // all its schedules are done
    }
    go_on_behind(index, ordinal);
  }
  void go_on_behind(std::size_t index, std::uint64_t ordinal) {
    workers_[index].next = workers_[index].since = after(ordinal);
    start(index);
  }
  // That schedule, unless it had been run and counted; with all that its strategy had learnt.
  void run_again(std::size_t index, std::uint64_t ordinal, std::uint64_t since, int signal) {
    Worker& worker = workers_[index];
    const bool had_run = worker.last_ran == ordinal;
    worker.next = had_run ? after(ordinal) : ordinal;
    worker.since = worker.next % plan_.round == 0 ? worker.next : since;
    worker.signal = signal;
    if (had_run) {
      tell_gone_on(index);
    } else {
      worker.again = ordinal;
    }
    start(index);
  }
  void tell_gone_on(std::size_t index) const {
    plan_.say(fmt::format("worker {} was killed by signal {} and does not die of it again; gone on",
                          index, workers_[index].signal));
  }

  void note(Catch caught) {
    auto [at, fresh] = catches_.try_emplace(caught.signature, caught);
    if (!fresh && caught.ordinal < at->second.ordinal) at->second = std::move(caught);
  }

  static void dismiss(Worker& worker) {
    if (worker.pid < 0) return;
    kill(worker.pid, SIGKILL);
    waitpid(worker.pid, nullptr, 0);
    close(worker.pipe);
    worker.pid = -1;
  }

  const WorkerPlan& plan_;
  const pid_t parent_ = getpid();
  SharedMemory<Board> board_;
  std::vector<std::unique_ptr<SharedMemory<Slot>>> slots_;   // by worker
  std::vector<Worker> workers_;
  Progress settled_;         // what counts whatever comes
  std::vector<Ran> ahead_;   // not as yet known to
  std::map<std::string, Catch> catches_;
  Clock::time_point began_ = Clock::now();
};

}   // namespace

SearchEnd run_workers(const WorkerPlan& plan) {
  return Crew{plan}.run();
}

}   // namespace program
