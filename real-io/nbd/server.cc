#include "real-io/nbd/server.h"

#include <cerrno>
#include <system_error>
#include <utility>

#include <sys/socket.h>
#include <unistd.h>

#include <fmt/format.h>

#include "engine/base/check.h"
#include "engine/fiber/timer.h"

namespace real_io::nbd {

// What one reactor keeps of the server. Its own thread only.
struct Server::Share {
  BufferPool buffers;
  boost::intrusive::list<
      Connection, boost::intrusive::member_hook<Connection, boost::intrusive::list_member_hook<>,
                                                &Connection::hook>>
      connections;
};

Server::Server(UringExecutor& executor, const Options& options, Log log)
    : executor_{executor},
      options_{options},
      log_{std::move(log)},
      exports_{std::make_shared<const std::vector<std::shared_ptr<const Export>>>()} {
  for (std::uint32_t i = 0; i < executor.reactor_count(); ++i)
    shares_.push_back(std::make_unique<Share>());
  accept_.prepare = &Server::prepare_accept;
  accept_.done = &Server::accepted;
  accept_.server = this;
}

Server::~Server() {
  ENGINE_CHECK_ALIVE(connections_alive_ == 0, "the server is destroyed while it serves");
}

void Server::set_exports(std::vector<std::shared_ptr<const Export>> exports) {
  exports_.store(
      std::make_shared<const std::vector<std::shared_ptr<const Export>>>(std::move(exports)));
}

Server::Exports Server::exports() const {
  return exports_.load();
}

tl::expected<void, std::string> Server::bind(const std::string& path) {
  return socket_.bind(path);
}

tl::expected<void, std::string> Server::listen() {
  if (auto listening = socket_.listen(); !listening) return listening;
  accepting_ = true;
  connections_alive_ = 1;
  executor_.spawn_on(0, "nbd.accept", [this] { Reactor::current()->start(accept_); });
  return {};
}

void Server::prepare_accept(Operation& self, io_uring_sqe& entry) noexcept {
  const Server& server = *static_cast<Accept&>(self).server;
  io_uring_prep_accept(&entry, server.socket_.fd(), nullptr, nullptr, SOCK_CLOEXEC);
}

void Server::accepted(Operation& self, std::int32_t result, std::uint32_t) {
  Server& server = *static_cast<Accept&>(self).server;
  if (server.stopping_) {
    if (result >= 0) close(result);
    return server.connection_over();
  }
  if (result >= 0) {
    server.short_of_descriptors_ = false;
    server.welcome(result);
  } else if (result != -EINTR && result != -ECONNABORTED && result != -EAGAIN) {
    const bool passes = out_of_descriptors(result);
    if (!passes || !std::exchange(server.short_of_descriptors_, true))
      server.log(fmt::format("accept: {}", std::generic_category().message(-result)));
    return passes ? server.accept_later() : server.connection_over();
  }
  Reactor::current()->start(self);
}

void Server::accept_later() {
  executor_.spawn_on(0, "nbd.accept", [this] {
    engine::sleep_for(kAcceptAgain);
    Reactor::current()->start(accept_);
  });
}

void Server::welcome(int fd) {
  const std::uint64_t number = ++connections_seen_;
  if (connections_alive_ > options_.connections_max) {
    log(fmt::format("connection {} turned away: {} are open", number, options_.connections_max));
    close(fd);
    return;
  }
  ++connections_alive_;
  constexpr int kSocketBuffer = 4 << 20;   // the system caps it
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kSocketBuffer, sizeof kSocketBuffer);
  const auto reactor = static_cast<std::uint32_t>(number % executor_.reactor_count());
  executor_.spawn_on(reactor, "nbd.connection", [this, fd, number] { serve(fd, number); });
}

void Server::serve(int fd, std::uint64_t number) {
  Share& share = *shares_[Reactor::current()->index()];
  {
    const auto connection = std::make_unique<Connection>(*this, share.buffers, fd, number);
    share.connections.push_back(*connection);
    if (stopping_) connection->stop();
    connection->serve();
    share.connections.erase(share.connections.iterator_to(*connection));
  }
  connection_over();
}

void Server::connection_over() {
  if (--connections_alive_ == 0) over_.signal();
}

template <typename Job>
void Server::on_each_connection(const char* name, Job job) {
  engine::Completion told{"nbd.told", executor_.reactor_count()};
  for (std::uint32_t i = 0; i < executor_.reactor_count(); ++i) {
    executor_.spawn_on(i, name, [this, &told, job] {
      for (Connection& connection : shares_[Reactor::current()->index()]->connections)
        job(connection);
      told.signal();
    });
  }
  told.wait();
}

void Server::begin_stop() {
  if (!socket_.bound()) return;
  stopping_ = true;
  socket_.shut();
  on_each_connection("nbd.stop", [](Connection& connection) { connection.stop(); });
}

void Server::cut() {
  on_each_connection("nbd.cut", [](Connection& connection) { connection.cut(); });
}

void Server::stop() {
  if (!socket_.bound()) return;
  begin_stop();
  if (accepting_) over_.wait();
  socket_.close();
}

}   // namespace real_io::nbd
