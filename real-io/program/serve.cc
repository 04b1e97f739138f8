#include "real-io/program/serve.h"

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <signal.h>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "real-io/nbd/server.h"
#include "real-io/uring_device.h"
#include "real-io/uring_executor.h"

namespace wavetankd {
namespace {

using real_io::UringDevice;
using real_io::UringExecutor;

// The signals that end the server, taken by sigwait() and by nothing else.
sigset_t ending_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

}   // namespace

int serve(const ServeOptions& options) {
  const auto log = spdlog::stderr_logger_mt("wavetankd");
  log->set_pattern("wavetankd: %v");
  // Before any thread starts: they inherit it.
  const sigset_t signals = ending_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  if (const int error = real_io::Ring::available(); error != 0) {
    log->error("io_uring is not to be had: {}", std::strerror(error));
    return 1;
  }
  UringExecutor executor{{.reactors = options.reactors,
                          .reactor = {.spin = std::chrono::microseconds{options.spin_us}}}};

  std::vector<std::unique_ptr<UringDevice>> raws;
  std::vector<std::shared_ptr<const real_io::nbd::Export>> exports;
  for (const RawSpec& raw : options.raws) {
    auto device = UringDevice::open(executor, raw.path);
    if (!device) {
      log->error("{}", device.error());
      return 1;
    }
    if ((*device)->facts().caching == real_io::Caching::buffered)
      log->warn("{}: no direct I/O on this file system; going on through the page cache", raw.path);
    exports.push_back(std::make_shared<real_io::nbd::Export>(
        real_io::nbd::Export{.name = raw.name, .description = raw.path, .device = device->get()}));
    raws.push_back(*std::move(device));
  }

  real_io::nbd::Server server{
      executor, {}, [&log](std::string_view line) { log->warn("nbd: {}", line); }};
  server.set_exports(exports);
  if (auto listening = server.listen(options.listen); !listening) {
    log->error("{}", listening.error());
    return 1;
  }
  log->info("serving {} exports on unix:{}", exports.size(), options.listen);

  int got = 0;
  sigwait(&signals, &got);
  log->info("{}: finishing", strsignal(got));
  executor.run([&] { server.stop(); });
  return 0;
}

}   // namespace wavetankd
