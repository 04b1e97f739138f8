// The NBD server: listens on a Unix socket, deals connections out to the reactors in turn, and ends
// them in good order.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/intrusive/list.hpp>
#include <tl/expected.hpp>

#include "engine/fiber/completion.h"
#include "real-io/nbd/connection.h"
#include "real-io/nbd/export.h"
#include "real-io/unix_socket.h"
#include "real-io/uring_executor.h"

namespace real_io::nbd {

class Server {
 public:
  using Exports = std::shared_ptr<const std::vector<std::shared_ptr<const Export>>>;
  using Log = std::function<void(std::string_view line)>;   // any thread

  struct Options {
    Connection::Limits per_connection;
    std::size_t connections_max = 64;
  };

  Server(UringExecutor& executor, const Options& options, Log log);
  // After stop(), if it ever listened.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Any thread. Replaces what new connections are offered; running ones keep what they have.
  void set_exports(std::vector<std::shared_ptr<const Export>> exports);
  [[nodiscard]] Exports exports() const;

  // Any thread. Binds `path`, replacing a socket that nobody listens on any more; clients are
  // refused until listen(). The error is one line for the user.
  [[nodiscard]] tl::expected<void, std::string> bind(const std::string& path);
  // Any thread, after bind(). Accepts clients from now on.
  [[nodiscard]] tl::expected<void, std::string> listen();
  // --- The end; all suspend. Also after bind() alone.
  // Accepts no more, and reads no more requests; those under way go on to be answered.
  void begin_stop();
  // Between begin_stop() and the destructor: closes the connections of clients that have not taken
  // their answers. What the devices are at is still waited for.
  void cut();
  // Returns when the last connection is gone.
  void stop();

  [[nodiscard]] const Options& options() const noexcept { return options_; }
  void log(std::string_view line) const { log_(line); }
  [[nodiscard]] std::size_t connections() const noexcept { return connections_alive_; }

 private:
  struct Share;
  struct Accept : Operation {
    Server* server = nullptr;
  };
  static void prepare_accept(Operation& self, io_uring_sqe& entry) noexcept;
  static void accepted(Operation& self, std::int32_t result, std::uint32_t flags);
  // On reactor 0. The next one, after a while.
  void accept_later();
  void welcome(int fd);
  void serve(int fd, std::uint64_t number);
  void connection_over();
  // Suspends. Runs `job(connection)` for each, on its own reactor.
  template <typename Job>
  void on_each_connection(const char* name, Job job);

  UringExecutor& executor_;
  const Options options_;
  const Log log_;
  std::atomic<std::shared_ptr<const std::vector<std::shared_ptr<const Export>>>> exports_;
  std::vector<std::unique_ptr<Share>> shares_;   // by reactor
  UnixSocket socket_;
  bool accepting_ = false;
  Accept accept_;
  bool short_of_descriptors_ = false;               // and the log says so; reactor 0's
  std::uint64_t connections_seen_ = 0;              // reactor 0's
  std::atomic<std::size_t> connections_alive_{0};   // and one for the acceptor
  std::atomic<bool> stopping_{false};
  engine::Completion over_{"nbd.over"};
};

}   // namespace real_io::nbd
