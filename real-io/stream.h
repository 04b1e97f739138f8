// Sockets for fibers: every call suspends the calling fiber, never its thread.
#pragma once

#include <cstdint>

#include "engine/base/bytes.h"

namespace real_io {

// All of worker context on a reactor. Negative errno on failure.
[[nodiscard]] std::int32_t receive_some(int fd, engine::MutableBytes bytes);
[[nodiscard]] std::int32_t send_some(int fd, engine::ConstBytes bytes);
[[nodiscard]] std::int32_t accept_one(int listen_fd);

}   // namespace real_io
