#include "real-io/unix_socket.h"

#include <cerrno>
#include <cstring>
#include <system_error>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fmt/format.h>

namespace real_io {
namespace {

bool somebody_listens(const sockaddr_un& address) {
  const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (probe < 0) return true;   // for all that is known
  const bool answered =
      connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
      errno != ECONNREFUSED;
  close(probe);
  return answered;
}

}   // namespace

std::optional<UnixSocket::File> UnixSocket::named() const noexcept {
  struct stat status{};
  if (lstat(path_.c_str(), &status) != 0) return std::nullopt;
  return File{.device = status.st_dev, .number = status.st_ino};
}

tl::expected<void, std::string> UnixSocket::bind(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return tl::unexpected{fmt::format("{}: a socket's path has 1 to {} characters", path,
                                      sizeof address.sun_path - 1)};
  std::memcpy(address.sun_path, path.data(), path.size());
  struct stat status{};
  if (lstat(path.c_str(), &status) == 0) {
    if (!S_ISSOCK(status.st_mode)) return tl::unexpected{path + ": exists and is no socket"};
    if (somebody_listens(address)) return tl::unexpected{path + ": another process listens there"};
    unlink(path.c_str());
  }
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const mode_t mask = umask(0077);
  const bool bound =
      fd >= 0 && ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  const int error = errno;
  umask(mask);
  if (bound) {
    fd_ = fd;
    path_ = path;
    file_ = named();
    return {};
  }
  if (fd >= 0) ::close(fd);
  return tl::unexpected{
      fmt::format("{}: cannot listen: {}", path, std::generic_category().message(error))};
}

tl::expected<void, std::string> UnixSocket::listen() {
  constexpr int kBacklog = 64;
  if (named() != file_) return tl::unexpected{path_ + ": another process has taken it"};
  if (::listen(fd_, kBacklog) == 0) return {};
  return tl::unexpected{
      fmt::format("{}: cannot listen: {}", path_, std::generic_category().message(errno))};
}

void UnixSocket::shut() noexcept {
  shutdown(fd_, SHUT_RDWR);
}

void UnixSocket::close() noexcept {
  if (fd_ < 0) return;
  if (file_ && named() == file_) unlink(path_.c_str());
  ::close(fd_);
  fd_ = -1;
}

bool out_of_descriptors(int error) noexcept {
  return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -ENOBUFS;
}

}   // namespace real_io
