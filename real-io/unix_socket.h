// Listening on a Unix socket.
#pragma once

#include <string>

#include <tl/expected.hpp>

namespace real_io {

// A listening socket bound to `path`, for its user only. A socket left behind by a process that
// died is replaced; one that answers, or a file that is no socket, is not touched. The error is one
// line for the user.
[[nodiscard]] tl::expected<int, std::string> listen_on_unix_socket(const std::string& path);

}   // namespace real_io
