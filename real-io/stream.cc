#include "real-io/stream.h"

#include <sys/socket.h>

#include "engine/fiber/waiters.h"
#include "real-io/reactor.h"

namespace real_io {
namespace {

struct Awaited : Operation {
  using Operation::Operation;
  engine::Fiber* fiber = engine::t_thread.fiber;
  int fd = -1;
  std::byte* data = nullptr;
  std::size_t size = 0;
  std::int32_t result = 0;
  bool over = false;

  static void finished(Operation& self, std::int32_t result, std::uint32_t) {
    auto& awaited = static_cast<Awaited&>(self);
    awaited.result = result;
    awaited.over = true;
    engine::unpark(*awaited.fiber, std::source_location::current());
  }
};

std::int32_t await(Awaited& operation) {
  engine::assert_may_block("socket operation");
  Reactor::current()->start(operation);
  while (!operation.over)
    operation.fiber->executor->park(engine::Point{engine::OpKind::condition_wait,
                                                  engine::Access::read, nullptr,
                                                  std::source_location::current()});
  return operation.result;
}

}   // namespace

std::int32_t receive_some(int fd, engine::MutableBytes bytes) {
  Awaited operation{[](Operation& self, io_uring_sqe& entry) noexcept {
                      const auto& me = static_cast<Awaited&>(self);
                      io_uring_prep_recv(&entry, me.fd, me.data, me.size, 0);
                    },
                    &Awaited::finished};
  operation.fd = fd;
  operation.data = bytes.data();
  operation.size = bytes.size();
  return await(operation);
}

std::int32_t send_some(int fd, engine::ConstBytes bytes) {
  Awaited operation{[](Operation& self, io_uring_sqe& entry) noexcept {
                      const auto& me = static_cast<Awaited&>(self);
                      io_uring_prep_send(&entry, me.fd, me.data, me.size, MSG_NOSIGNAL);
                    },
                    &Awaited::finished};
  operation.fd = fd;
  operation.data = const_cast<std::byte*>(bytes.data());   // only read
  operation.size = bytes.size();
  return await(operation);
}

std::int32_t accept_one(int listen_fd) {
  Awaited operation{[](Operation& self, io_uring_sqe& entry) noexcept {
                      const auto& me = static_cast<Awaited&>(self);
                      io_uring_prep_accept(&entry, me.fd, nullptr, nullptr, SOCK_CLOEXEC);
                    },
                    &Awaited::finished};
  operation.fd = listen_fd;
  return await(operation);
}

}   // namespace real_io
