#include "real-io/program/control_server.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include <sys/socket.h>
#include <unistd.h>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "engine/fiber/timer.h"
#include "real-io/program/words.h"
#include "real-io/stream.h"

namespace wavetankd {

namespace {

// Before a connection is closed. Waits for nobody: what the client has sent and nobody reads is
// taken away, as far as it is there, so that the answer is not lost with it.
void refuse(int fd, std::string_view answer) {
  send(fd, answer.data(), answer.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  shutdown(fd, SHUT_WR);
  std::array<char, 4096> unread{};
  for (int i = 0; i < 64 && recv(fd, unread.data(), unread.size(), MSG_DONTWAIT) > 0; ++i) {
  }
}

}   // namespace

ControlServer::ControlServer(real_io::UringExecutor& executor, Handler handler)
    : executor_{executor}, handler_{std::move(handler)} {}

tl::expected<void, std::string> ControlServer::bind(const std::string& path) {
  return socket_.bind(path);
}

tl::expected<void, std::string> ControlServer::listen() {
  if (auto listening = socket_.listen(); !listening) return listening;
  fibers_ = 1;
  executor_.spawn_on(0, "control.accept", [this] { accept_loop(); });
  return {};
}

void ControlServer::accept_loop() {
  bool told = false;   // that there are no descriptors left
  while (!stopping_) {
    const std::int32_t fd = real_io::accept_one(socket_.fd());
    if (fd < 0) {
      if (fd == -EINTR || fd == -ECONNABORTED || fd == -EAGAIN) continue;
      const bool passes = real_io::out_of_descriptors(fd);
      if (!stopping_ && !std::exchange(told, passes))
        spdlog::warn("control: accept: {}", std::generic_category().message(-fd));
      if (!passes) break;
      engine::sleep_for(real_io::kAcceptAgain);
      continue;
    }
    told = false;
    if (stopping_ || clients_.size() >= kClientsMax) {
      if (!stopping_) refuse(fd, fmt::format("error {} clients are served at once\n", kClientsMax));
      close(fd);
      continue;
    }
    clients_.push_back(fd);
    ++fibers_;
    executor_.spawn("control.client", [this, fd] { serve(fd); });
  }
  const engine::MutexLock lock{mutex_};
  --fibers_;
  less_.notify_all();
}

// The answer to each line goes before the next one is looked at: that may have to wait.
void ControlServer::serve(int fd) {
  std::string pending;
  std::vector<std::byte> bytes(4096);
  std::int32_t got = 1;
  while (!stopping_ && pending.size() < kLineMax && got > 0) {
    got = real_io::receive_some(fd, bytes);
    if (got > 0)
      pending.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(got));
    else if (got == 0 && !stopping_ && !pending.empty())
      pending += '\n';   // the last line may do without
    std::size_t begin = 0;
    for (std::size_t end = 0; !stopping_ && (end = pending.find('\n', begin)) != std::string::npos;
         begin = end + 1) {
      std::string_view line = std::string_view{pending}.substr(begin, end - begin);
      if (line.ends_with('\r')) line.remove_suffix(1);
      answer(fd, line);
    }
    pending.erase(0, begin);
  }
  if (pending.size() >= kLineMax)
    refuse(fd, fmt::format("error a line of {} bytes or more\n", kLineMax));
  std::erase(clients_, fd);
  close(fd);
  const engine::MutexLock lock{mutex_};
  --fibers_;
  less_.notify_all();
}

// Who does not take it has his lines done all the same.
void ControlServer::answer(int fd, std::string_view line) {
  const auto outcome = handler_(line);
  std::string text = "error ";
  if (outcome)
    text = outcome->empty() ? "ok" : "ok " + *outcome;
  else
    text += printable(outcome.error());
  text += '\n';
  auto rest = std::as_bytes(std::span{text});
  while (!rest.empty()) {
    const std::int32_t sent = real_io::send_some(fd, rest);
    if (sent <= 0) return;
    rest = rest.subspan(static_cast<std::size_t>(sent));
  }
}

void ControlServer::begin_stop() noexcept {
  if (!socket_.bound()) return;
  stopping_ = true;
  socket_.shut();
  for (const int fd : clients_)
    shutdown(fd, SHUT_RD);
}

void ControlServer::cut() noexcept {
  for (const int fd : clients_)
    shutdown(fd, SHUT_RDWR);
}

void ControlServer::stop() {
  if (!socket_.bound()) return;
  begin_stop();
  {
    const engine::MutexLock lock{mutex_};
    while (fibers_ != 0)
      less_.wait(mutex_);
  }
  socket_.close();
}

}   // namespace wavetankd
