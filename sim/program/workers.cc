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
constexpr std::size_t kDistinctBits = std::size_t{1} << 20;

struct alignas(64) Slot {
  std::atomic<std::uint64_t> ordinal{0};   // being run
  std::atomic<std::uint64_t> since{0};     // Catch::since
  std::atomic<std::uint64_t> schedules{0};
  std::atomic<std::uint64_t> points{0};
};

// Shared between the processes.
struct Board {
  std::atomic<std::uint64_t> digest{0};   // sum of the executions', each with its ordinal
  std::array<std::atomic<std::uint64_t>, kDistinctBits / 64> seen{};   // a bit for each digest
  std::array<Slot, 256> slots{};
};

// Linear counting (Whang et al., 1990): distinct values from the share of empty cells.
std::uint64_t distinct_of(const Board& board) {
  std::size_t set = 0;
  for (const auto& word : board.seen)
    set += static_cast<std::size_t>(__builtin_popcountll(word.load(std::memory_order_relaxed)));
  if (set >= kDistinctBits) return kDistinctBits;
  const double empty =
      static_cast<double>(kDistinctBits - set) / static_cast<double>(kDistinctBits);
  return static_cast<std::uint64_t>(
      std::llround(-static_cast<double>(kDistinctBits) * std::log(empty)));
}

struct Worker {
  pid_t pid = -1;
  int pipe = -1;
  std::uint64_t next = 0;   // ordinal to go on with
  std::string told;
  std::uint64_t last_ordinal = 0;
  Clock::time_point moved = Clock::now();
};

class Crew {
 public:
  explicit Crew(const WorkerPlan& plan) : plan_{plan} {
    workers_.resize(std::min<std::size_t>(std::max(plan.jobs, 1U), board_->slots.size()));
    for (std::size_t i = 0; i < workers_.size(); ++i)
      workers_[i].next = i * plan.round;
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
      plan_.show(progress());
    }
    SearchEnd end;
    for (Worker& worker : workers_)
      dismiss(worker);
    end.progress = progress();
    for (auto& [signature, caught] : catches_)
      end.catches.push_back(caught);
    std::sort(end.catches.begin(), end.catches.end(),
              [](const Catch& a, const Catch& b) { return a.ordinal < b.ordinal; });
    if (plan_.stop_at_first && end.catches.size() > 1) end.catches.resize(1);
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
    return board_->slots[worker].ordinal.load(std::memory_order_relaxed);
  }
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
  [[nodiscard]] Progress progress() const {
    Progress all;
    for (const Slot& slot : board_->slots) {
      all.schedules += slot.schedules.load(std::memory_order_relaxed);
      all.points += slot.points.load(std::memory_order_relaxed);
    }
    all.distinct = distinct_of(*board_);
    all.digest = board_->digest.load(std::memory_order_relaxed);
    all.findings = catches_.size();
    all.seconds = seconds();
    return all;
  }

  void start(std::size_t index) {
    Worker& worker = workers_[index];
    if (worker.next >= plan_.schedules || !matters(worker.next)) return;
    board_->slots[index].ordinal.store(worker.next, std::memory_order_relaxed);
    int ends[2] = {-1, -1};
    if (pipe2(ends, O_CLOEXEC) != 0) return;
    std::fflush(nullptr);
    engine::Fiber::prepare_fork();
    worker.pid = fork();
    if (worker.pid == 0) {
      close(ends[0]);
      confine_memory();
      work(index, worker.next, ends[1]);
    }
    close(ends[1]);
    worker.pipe = ends[0];
    worker.told.clear();
    worker.moved = Clock::now();
  }

  // In the worker: does not return.
  [[noreturn]] void work(std::size_t index, std::uint64_t first, int out) {
    Slot& slot = board_->slots[index];
    for (std::uint64_t ordinal = first; ordinal < plan_.schedules; ordinal = after(ordinal)) {
      slot.ordinal.store(ordinal, std::memory_order_relaxed);
      if (ordinal == first || ordinal % plan_.round == 0) {
        slot.since.store(ordinal, std::memory_order_relaxed);
        plan_.begin_round();
      }
      const Verdict verdict = plan_.run(ordinal);
      slot.schedules.fetch_add(1, std::memory_order_relaxed);
      slot.points.fetch_add(verdict.points, std::memory_order_relaxed);
      board_->digest.fetch_add((verdict.digest ^ ordinal) * 0x9E3779B97F4A7C15ULL,
                               std::memory_order_relaxed);
      const std::uint64_t bit = (verdict.digest ^ verdict.digest >> 32U) % kDistinctBits;
      board_->seen[bit / 64].fetch_or(std::uint64_t{1} << bit % 64, std::memory_order_relaxed);
      if (verdict.spoiled) _exit(kSpoiled);   // what it left behind is best left behind
      if (!verdict.found) continue;
      const std::string told = verdict.signature + '\n' + verdict.message;
      std::size_t at = 0;
      while (at < told.size()) {
        const ssize_t written = write(out, told.data() + at, told.size() - at);
        if (written <= 0) break;
        at += static_cast<std::size_t>(written);
      }
      _exit(1);
    }
    _exit(0);
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
  }

  void look_after(std::size_t index) {
    Worker& worker = workers_[index];
    const std::uint64_t ordinal = board_->slots[index].ordinal.load(std::memory_order_relaxed);
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
    const bool died = hung || WIFSIGNALED(status);
    if (died ? !plan_.deaths_count : WEXITSTATUS(status) == kSpoiled && worker.told.empty()) {
      worker.next = after(ordinal);
      start(index);
      return;
    }
    const std::uint64_t since = board_->slots[index].since.load(std::memory_order_relaxed);
    const auto caught = [&](std::uint64_t at, std::string signature, std::string message) {
      note({at, since, std::move(signature), std::move(message)});
    };
    if (hung) {
      caught(ordinal, "crash hang", "one schedule did not end and reached no scheduling point");
    } else if (WIFSIGNALED(status)) {
      const std::string name = signal_name(WTERMSIG(status));
      caught(ordinal, fmt::format("crash {}", name), fmt::format("the engine died: {}", name));
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
    worker.next = after(ordinal);
    start(index);
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
  SharedMemory<Board> board_;
  std::vector<Worker> workers_;
  std::map<std::string, Catch> catches_;
  Clock::time_point began_ = Clock::now();
};

}   // namespace

SearchEnd run_workers(const WorkerPlan& plan) {
  return Crew{plan}.run();
}

}   // namespace program
