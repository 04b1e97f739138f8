// The control socket: a client sends lines, each is answered by one: "ok", "ok TEXT" or "error
// TEXT".
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "engine/fiber/condition.h"
#include "engine/fiber/mutex.h"
#include "real-io/unix_socket.h"
#include "real-io/uring_executor.h"

namespace wavetankd {

class ControlServer {
 public:
  // Suspends. The answer, or the trouble, each without a newline.
  using Handler = std::function<tl::expected<std::string, std::string>(std::string_view line)>;

  ControlServer(real_io::UringExecutor& executor, Handler handler);
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  [[nodiscard]] tl::expected<void, std::string> bind(const std::string& path);
  [[nodiscard]] tl::expected<void, std::string> listen();
  // --- The end; on reactor 0.
  // Takes no more lines; the one that each client is at goes on to be answered.
  void begin_stop() noexcept;
  // After begin_stop(): closes the connections of clients that have not taken their answers.
  void cut() noexcept;
  // Suspends. Returns when the last connection is gone.
  void stop();

 private:
  static constexpr std::size_t kLineMax = 64 << 10;
  static constexpr std::size_t kClientsMax = 64;
  void accept_loop();
  void serve(int fd);
  void answer(int fd, std::string_view line);

  real_io::UringExecutor& executor_;
  const Handler handler_;
  real_io::UnixSocket socket_;
  // All of it lives on reactor 0, which is what guards it.
  std::vector<int> clients_;
  std::size_t fibers_ = 0;
  bool stopping_ = false;
  engine::Mutex mutex_{"control.mutex"};
  engine::Condition less_{"control.less"};
};

}   // namespace wavetankd
