// Listening on a Unix socket.
#pragma once

#include <string>

#include <tl/expected.hpp>

namespace real_io {

// A socket bound to `path`, for its user only, that refuses clients until start_listening(). A
// socket left behind by a process that died is replaced; one that answers, or a file that is no
// socket, is not touched. The error is one line for the user.
[[nodiscard]] tl::expected<int, std::string> bind_unix_socket(const std::string& path);
[[nodiscard]] tl::expected<void, std::string> start_listening(int fd, const std::string& path);

}   // namespace real_io
