// Listening on a Unix socket.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include <sys/types.h>

#include <tl/expected.hpp>

namespace real_io {

// A listening socket of this process, and its path for as long as that names it: another server may
// have taken the path meanwhile, as one that is started before this one has ended, and then it is
// left alone.
class UnixSocket {
 public:
  UnixSocket() = default;
  ~UnixSocket() { close(); }
  UnixSocket(const UnixSocket&) = delete;
  UnixSocket& operator=(const UnixSocket&) = delete;

  // Binds `path`, for its user only; clients are refused until listen(). A socket left behind by a
  // process that died is replaced; one that answers, or a file that is no socket, is not touched.
  // The error is one line for the user.
  [[nodiscard]] tl::expected<void, std::string> bind(const std::string& path);
  [[nodiscard]] tl::expected<void, std::string> listen();
  // -1 while it is not bound.
  [[nodiscard]] int fd() const noexcept { return fd_; }
  [[nodiscard]] bool bound() const noexcept { return fd_ >= 0; }
  // Ends accepts under way; clients are refused from now on.
  void shut() noexcept;
  // Nothing may wait on it any more.
  void close() noexcept;

 private:
  struct File {
    dev_t device;
    ino_t number;
    bool operator==(const File&) const = default;
  };
  // What `path_` names; none where it names nothing.
  [[nodiscard]] std::optional<File> named() const noexcept;

  std::string path_;
  std::optional<File> file_;
  int fd_ = -1;
};

// Is `error`, a negative errno of an accept, one that passes when others close what they have open?
[[nodiscard]] bool out_of_descriptors(int error) noexcept;
// How long to wait then: whoever waits to be accepted would be refused again at once.
inline constexpr std::chrono::milliseconds kAcceptAgain{100};

}   // namespace real_io
