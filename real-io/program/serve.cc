#include "real-io/program/serve.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <signal.h>

#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "engine/fiber/completion.h"
#include "engine/fiber/timer.h"
#include "engine/thin/metadata.h"
#include "real-io/nbd/server.h"
#include "real-io/program/control_server.h"
#include "real-io/program/devices.h"
#include "real-io/program/rehearsal.h"
#include "real-io/program/volumes.h"
#include "real-io/uring_device.h"
#include "real-io/uring_executor.h"

namespace wavetankd {
namespace {

using real_io::UringExecutor;
using Outcome = Volumes::Outcome;

// The signals that end the server, taken by sigwait() and by nothing else.
sigset_t ending_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

// Waking up takes a thread long enough, in a guest above all, for a busy client and the disk to
// fall into step with it and wait for one another; a disk's answer takes less than this.
real_io::Reactor::Options spinning(std::optional<std::uint64_t> asked_us) {
  constexpr std::uint64_t kBusyUs = 120;
  return {.spin = std::chrono::microseconds{asked_us.value_or(0)},
          .busy_spin = std::chrono::microseconds{asked_us.value_or(kBusyUs)}};
}

// For clients to take the answers to what they asked for before the end.
constexpr timespec kClientPatience{.tv_sec = 5, .tv_nsec = 0};

// Between looks at what control lines under way are waiting for.
constexpr std::chrono::milliseconds kControlLook{10};

// Everything that is served, in the order in which it is made; taken down in the other.
class Service {
 public:
  explicit Service(const ServeOptions& options)
      : options_{options},
        executor_{{.reactors = options.reactors, .reactor = spinning(options.spin_us)}},
        devices_{executor_},
        server_{executor_, {}, [](std::string_view line) { spdlog::warn("nbd: {}", line); }},
        control_{executor_, [this](std::string_view line) { return volumes_->control(line); }} {}

  // On reactor 0, as finish(). Whatever may be refused is, before any device is changed: files are
  // opened, sockets bound, and the whole is rehearsed. They are listened on when everything is
  // there. Files come first: whoever has them, as a server that is just starting or stopping, has
  // the sockets too, though they may not answer.
  Outcome begin() {
    if (auto opened = open_files(); !opened) return opened;
    if (auto bound = server_.bind(options_.listen); !bound) return tl::unexpected{bound.error()};
    if (!options_.control.empty())
      if (auto bound = control_.bind(options_.control); !bound)
        return tl::unexpected{bound.error()};
    if (auto rehearsed = rehearse(); !rehearsed) return rehearsed;
    volumes_.emplace(executor_, devices_, devices_, server_, Volumes::Purpose::serve);
    if (auto opened = open_volumes(*volumes_); !opened) return opened;
    for (std::size_t i = 0; i < raws_.size(); ++i)
      volumes_->add_raw(options_.raws[i], *raws_[i]);
    if (!options_.control.empty())
      if (auto listening = control_.listen(); !listening) return tl::unexpected{listening.error()};
    if (auto listening = server_.listen(); !listening) return tl::unexpected{listening.error()};
    return std::string{};
  }

  // What has begun is answered, as far as it can be without its users' help.
  Outcome finish() {
    if (rehearsed_) return tl::unexpected<std::string>{"a rehearsal that cannot be ended"};
    control_.begin_stop();
    server_.begin_stop();
    end_control();
    if (volumes_) {
      volumes_->release_waiting();   // the last control action may have suspended a device
      volumes_->refuse_waiting();
    }
    server_.stop();
    if (!volumes_) return std::string{};
    auto closed = volumes_->close();
    if (closed) volumes_.reset();
    return closed;
  }

  // On reactor 0, beside finish() or after it: waits for no client any longer, and no control line
  // for a suspended device.
  void cut() {
    cut_ = true;
    control_.cut();
    server_.cut();
  }

  UringExecutor& executor() noexcept { return executor_; }

 private:
  // After begin_stop(). A line under way may wait for a device that another one suspends, at any
  // time; or for one that nothing resumes, as a pool whose table has become too small.
  void end_control() {
    engine::Completion ended{"wavetankd.control_ended"};
    executor_.spawn_on(0, "wavetankd.control_end", [&] {
      control_.stop();
      ended.signal();
    });
    while (!ended.done()) {
      if (volumes_ && (!volumes_->release_waiting() || cut_)) volumes_->refuse_waiting();
      engine::sleep_for(kControlLook);
    }
    ended.wait();
  }

  Outcome open_files() {
    const auto open = [&](const std::string& label, const std::string& path) -> Outcome {
      if (auto device = devices_.open(label, path); !device) return tl::unexpected{device.error()};
      return std::string{};
    };
    for (const RawSpec& raw : options_.raws) {
      auto device = devices_.open("raw:" + raw.name, raw.path);
      if (!device) return tl::unexpected{device.error()};
      raws_.push_back(*device);
    }
    for (const CacheSpec& cache : options_.caches) {
      if (auto opened = open(cache.name + ".metadata", cache.metadata); !opened) return opened;
      if (auto opened = open(cache.name + ".fast", cache.fast); !opened) return opened;
      if (options_.on_thin(cache)) continue;
      if (auto opened = open(cache.name + ".origin", cache.origin); !opened) return opened;
    }
    if (options_.metadata.empty()) return std::string{};
    if (auto opened = open("metadata", options_.metadata); !opened) return opened;
    if (options_.data_cache() != nullptr) return std::string{};
    return open("data", options_.data);
  }

  // What a pool stands on comes before it.
  Outcome open_volumes(Volumes& volumes) {
    if (auto opened = open_caches(volumes, false); !opened) return opened;
    if (!options_.metadata.empty()) {
      const std::string_view data =
          options_.data_cache() == nullptr ? std::string_view{"data"} : options_.data;
      if (auto opened = volumes.open_pool(options_, data); !opened) return opened;
    }
    return open_caches(volumes, true);
  }

  // Those on thin volumes, or the others.
  Outcome open_caches(Volumes& volumes, bool on_thins) {
    for (const CacheSpec& cache : options_.caches) {
      if (options_.on_thin(cache) != on_thins) continue;
      if (auto opened = volumes.open_cache(options_, cache); !opened) return opened;
    }
    return std::string{};
  }

  // Opens everything, and ends it, with no device changed. Where that fails for want of metadata,
  // the trouble says how much would do.
  Outcome rehearse() {
    bool short_of_metadata = false;
    Outcome outcome = rehearse_once(0, short_of_metadata);
    if (outcome || !short_of_metadata) return outcome;   // one to be grown may be short of it
    const auto metadata = devices_.find("metadata");
    if (!metadata) return outcome;
    std::uint64_t sectors = std::max(engine::thin::kMetadataBlocksMin * engine::kMetaBlockSectors,
                                     (*metadata)->limits().sectors);
    while (short_of_metadata && sectors < kTriedMetadataSectorsMax) {
      sectors = std::min(2 * sectors, kTriedMetadataSectorsMax);
      const std::uint64_t kib = sectors * engine::kSectorSize >> 10;
      if (rehearse_once(sectors, short_of_metadata) && !short_of_metadata)
        return tl::unexpected{fmt::format("{}; {} KiB would do", outcome.error(), kib)};
    }
    if (!short_of_metadata) return outcome;   // larger metadata would be refused as well
    return tl::unexpected{fmt::format("{}; not even {} MiB would do", outcome.error(),
                                      kTriedMetadataSectorsMax * engine::kSectorSize >> 20)};
  }

  Outcome rehearse_once(std::uint64_t metadata_sectors_min, bool& short_of_metadata) {
    Rehearsal& devices = rehearsal_.emplace(devices_, metadata_sectors_min);
    rehearsed_.emplace(executor_, devices, devices_, server_, Volumes::Purpose::rehearse);
    Outcome outcome = open_volumes(*rehearsed_);
    short_of_metadata = rehearsed_->short_of_metadata();
    if (auto closed = rehearsed_->close(); !closed) return closed;
    rehearsed_.reset();
    rehearsal_.reset();
    return outcome;
  }

  // Memory is what a rehearsal costs.
  static constexpr std::uint64_t kTriedMetadataSectorsMax = (std::uint64_t{256} << 20) / 512;

  const ServeOptions& options_;
  UringExecutor executor_;
  Devices devices_;
  real_io::nbd::Server server_;
  std::vector<real_io::UringDevice*> raws_;
  std::optional<Rehearsal> rehearsal_;
  std::optional<Volumes> rehearsed_;   // on the devices of rehearsal_
  std::optional<Volumes> volumes_;
  ControlServer control_;
  bool cut_ = false;
};

// From a thread that is no reactor. Another of `signals` meanwhile ends the patience with clients.
Outcome finish(Service& service, const sigset_t& signals) {
  Outcome finished;
  std::atomic<bool> over{false};
  std::thread finishing{[&, waiting = pthread_self()] {
    service.executor().run([&] { finished = service.finish(); });
    over = true;
    pthread_kill(waiting, SIGTERM);   // NOLINT(bugprone-bad-signal-to-kill-thread): it is blocked
  }};
  for (bool patient = true; !over;) {
    const int got = patient ? sigtimedwait(&signals, nullptr, &kClientPatience)
                            : sigwaitinfo(&signals, nullptr);
    if (over || !patient || (got < 0 && errno == EINTR)) continue;
    patient = false;
    spdlog::info("{}: waiting for clients no longer", got < 0 ? "time is up" : sigdescr_np(got));
    service.executor().run([&] { service.cut(); });
  }
  finishing.join();
  return finished;
}

}   // namespace

int serve(const ServeOptions& options) {
  spdlog::set_default_logger(spdlog::stderr_logger_mt("wavetankd"));
  spdlog::set_pattern("wavetankd: %v");
  // Before any thread starts: they inherit it.
  const sigset_t signals = ending_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  if (const int error = real_io::Ring::available(); error != 0) {
    spdlog::error("io_uring is not to be had: {}", std::generic_category().message(error));
    return 1;
  }
  const auto service = std::make_unique<Service>(options);
  Outcome begun;
  service->executor().run([&] { begun = service->begin(); });
  if (begun) {
    spdlog::info("serving on unix:{}", options.listen);
    int got = 0;
    sigwait(&signals, &got);
    spdlog::info("{}: finishing", sigdescr_np(got));
  } else {
    spdlog::error("{}", begun.error());
  }
  const Outcome finished = finish(*service, signals);
  if (!finished) {
    if (begun) spdlog::error("{}", finished.error());
    std::_Exit(1);   // what is left cannot be taken down in good order
  }
  return begun ? 0 : 1;
}

}   // namespace wavetankd
