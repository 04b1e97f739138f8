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

tl::expected<int, std::string> bind_unix_socket(const std::string& path) {
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
      fd >= 0 && bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  const int error = errno;
  umask(mask);
  if (bound) return fd;
  if (fd >= 0) close(fd);
  return tl::unexpected{
      fmt::format("{}: cannot listen: {}", path, std::generic_category().message(error))};
}

tl::expected<void, std::string> start_listening(int fd, const std::string& path) {
  constexpr int kBacklog = 64;
  if (listen(fd, kBacklog) == 0) return {};
  return tl::unexpected{
      fmt::format("{}: cannot listen: {}", path, std::generic_category().message(errno))};
}

}   // namespace real_io
