#include "real-io/nbd/connection.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <unistd.h>

#include <fmt/format.h>

#include "engine/base/check.h"
#include "engine/fiber/executor.h"
#include "real-io/nbd/connection_call.h"
#include "real-io/nbd/server.h"

namespace real_io::nbd {

Connection::Connection(Server& server, BufferPool& buffers, int fd, std::uint64_t number)
    : home{*Reactor::current()},
      server_{server},
      buffers_{buffers},
      fd_{fd},
      number_{number},
      limits_{server.options().per_connection},
      stream_{buffers.take(kStreamBytes)},
      flush_job_{[](Deferred& self) { static_cast<FlushJob&>(self).connection->send_replies(); }} {
  receive_.connection = this;
  send_now_.connection = this;
  send_.connection = this;
  send_.prepare = &Connection::prepare_send;
  send_.done = [](Operation& self, std::int32_t result, std::uint32_t) {
    static_cast<SendOperation&>(self).connection->sent(result);
  };
  flush_job_.connection = this;
}

Connection::~Connection() {
  ENGINE_CHECK_ALIVE(calls_alive_ == 0, "a connection is destroyed under {} requests",
                     calls_alive_);
  buffers_.give_back(stream_);
  close(fd_);
}

void Connection::serve() {
  if (negotiate()) {
    transmit();
    drain();
  }
  shutdown(fd_, SHUT_RDWR);
}

void Connection::stop() noexcept {
  stopping_ = true;
  shutdown(fd_, SHUT_RD);
  wake_reader();
}

void Connection::cut() noexcept {
  cut_ = true;
  shutdown(fd_, SHUT_RDWR);
}

void Connection::hostile(std::string_view what) {
  server_.log(fmt::format("connection {} closed: {}", number_, what));
  broken_ = true;
}

// --- Receiving ---

void Connection::prepare_receive(Operation& self, io_uring_sqe& entry) noexcept {
  Connection& connection = *static_cast<Awaited&>(self).connection;
  const iovec& first = connection.receive_vectors_[0];
  if (first.iov_len == 0) {
    const iovec& stream = connection.receive_vectors_[1];
    io_uring_prep_recv(&entry, connection.fd_, stream.iov_base, stream.iov_len, 0);
  } else {
    io_uring_prep_recvmsg(&entry, connection.fd_, &connection.receive_message_, 0);
  }
}

void Connection::awaited_done(Operation& self, std::int32_t result, std::uint32_t) {
  auto& awaited = static_cast<Awaited&>(self);
  awaited.result = result;
  awaited.done = true;
  engine::unpark(*awaited.fiber, std::source_location::current());
}

std::int32_t Connection::await(Awaited& operation) {
  operation.done = false;
  operation.fiber = engine::t_thread.fiber;
  home.start(operation);
  while (!operation.done)
    home.executor().park(engine::Point{engine::OpKind::condition_wait, engine::Access::read, &room_,
                                       std::source_location::current()});
  return operation.result;
}

std::int32_t Connection::receive(engine::MutableBytes rest) {
  if (stream_begin_ == stream_end_) {
    stream_begin_ = 0;
    stream_end_ = 0;
  } else if (stream_begin_ > stream_.size / 2) {
    std::memmove(stream_.data, stream_.data + stream_begin_, stream_end_ - stream_begin_);
    stream_end_ -= stream_begin_;
    stream_begin_ = 0;
  }
  receive_vectors_[0] = {rest.data(), rest.size()};
  receive_vectors_[1] = {stream_.data + stream_end_, stream_.size - stream_end_};
  receive_message_ = {};
  receive_message_.msg_iov = receive_vectors_.data();
  receive_message_.msg_iovlen = receive_vectors_.size();
  const std::int32_t result = await(receive_);
  if (result <= 0) return result;
  const auto got = static_cast<std::size_t>(result);
  if (got > rest.size()) stream_end_ += got - rest.size();
  return result;
}

bool Connection::fill(std::size_t size) {
  while (stream_end_ - stream_begin_ < size) {
    if (stopping_ || broken_) return false;
    const std::int32_t result = receive({});
    if (result <= 0) return false;
  }
  return true;
}

bool Connection::receive_payload(engine::MutableBytes payload) {
  const std::size_t here = std::min(payload.size(), stream_end_ - stream_begin_);
  std::memcpy(payload.data(), stream_.data + stream_begin_, here);
  stream_begin_ += here;
  payload = payload.subspan(here);
  while (!payload.empty()) {
    const std::int32_t result = receive(payload);
    if (result <= 0) return false;
    payload = payload.subspan(std::min(payload.size(), static_cast<std::size_t>(result)));
  }
  return true;
}

bool Connection::skip_payload(std::size_t size) {
  while (size != 0) {
    const std::size_t here = std::min(size, stream_end_ - stream_begin_);
    stream_begin_ += here;
    size -= here;
    if (size != 0 && !fill(1)) return false;
  }
  return true;
}

// --- Negotiation ---

void Connection::prepare_send_now(Operation& self, io_uring_sqe& entry) noexcept {
  const Connection& connection = *static_cast<Awaited&>(self).connection;
  io_uring_prep_send(&entry, connection.fd_, connection.send_now_bytes_.data(),
                     connection.send_now_bytes_.size(), MSG_NOSIGNAL);
}

bool Connection::send_now(engine::ConstBytes bytes) {
  while (!bytes.empty()) {
    send_now_bytes_ = bytes;
    const std::int32_t result = await(send_now_);
    if (result <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(result));
  }
  return true;
}

bool Connection::negotiate() {
  const Server::Exports exports = server_.exports();
  std::vector<ExportFacts> facts;
  for (const auto& exported : *exports)
    facts.push_back(facts_of(*exported));
  Handshake handshake{facts};
  for (;;) {
    if (!send_now(handshake.output())) return false;
    handshake.output().clear();
    switch (handshake.state()) {
      case Handshake::State::client_flags:
      case Handshake::State::options:
        break;
      case Handshake::State::transmission: {
        export_ = (*exports)[handshake.export_index()];
        device_ = export_->device;
        facts_ = facts[handshake.export_index()];
        structured_ = handshake.structured_replies();
        return true;
      }
      case Handshake::State::closed:
        return false;
      case Handshake::State::broken:
        hostile(handshake.problem());
        return false;
    }
    const std::size_t had = stream_end_ - stream_begin_;
    const std::size_t taken = handshake.feed({stream_.data + stream_begin_, had});
    stream_begin_ += taken;
    if (taken == 0 && !fill(had + 1)) return false;
  }
}

// --- Requests ---

bool Connection::room_for(std::size_t bytes) const noexcept {
  if (calls_alive_ == 0) return true;
  return calls_alive_ < limits_.requests && bytes_alive_ + bytes <= limits_.bytes;
}

void Connection::wait_for_room(std::size_t bytes) {
  waiting_reader_ = engine::t_thread.fiber;
  while (!room_for(bytes) && !stopping_)
    home.executor().park(engine::Point{engine::OpKind::condition_wait, engine::Access::read, &room_,
                                       std::source_location::current()});
  waiting_reader_ = nullptr;
}

void Connection::drain() {
  waiting_reader_ = engine::t_thread.fiber;
  while (calls_alive_ != 0 || send_busy_)
    home.executor().park(engine::Point{engine::OpKind::condition_wait, engine::Access::read, &room_,
                                       std::source_location::current()});
  waiting_reader_ = nullptr;
}

void Connection::wake_reader() noexcept {
  if (waiting_reader_ != nullptr) engine::unpark(*waiting_reader_, std::source_location::current());
}

void Connection::transmit() {
  while (fill(sizeof(RequestHeader))) {
    const Request request = judge_request(
        engine::ConstBytes{stream_.data + stream_begin_, sizeof(RequestHeader)}, facts_);
    stream_begin_ += sizeof(RequestHeader);
    if (request.verdict == Request::Verdict::disconnect) return;
    if (request.verdict == Request::Verdict::hostile) return hostile(request.problem);

    const bool runs = request.verdict == Request::Verdict::run;
    const std::size_t buffer_bytes = request.transfers() ? request.length : 0;
    if (!room_for(buffer_bytes)) wait_for_room(buffer_bytes);
    if (broken_ || stopping_) return;
    if (!runs) {
      if (!skip_payload(request.payload)) return;
      answer(take_call(request), request.error);
      continue;
    }
    Call& call = take_call(request);
    if (request.payload != 0 && !receive_payload({call.buffer.data, request.payload})) {
      give_back(call);
      return;
    }
    advance(call);
  }
}

}   // namespace real_io::nbd
