// The part of a connection that answers: replies are gathered as they come, and all that a round of
// the reactor has gathered go out in one send, straight from the buffers they were read into.
#include <cerrno>

#include "engine/base/check.h"
#include "real-io/nbd/connection.h"
#include "real-io/nbd/connection_call.h"

namespace real_io::nbd {

void Connection::answer(Call& call, NbdError error) {
  call.error = error;
  if (error != NbdError::none || call.request.command != Command::read) release_buffer(call);
  if (broken_) {
    give_back(call);
    return wake_reader();
  }
  encode(call);
  answered_.push_back(call);
  if (!send_busy_) home.defer(flush_job_);
}

void Connection::encode(Call& call) const {
  const bool is_read = call.request.command == Command::read;
  if (!structured_ || !is_read) {
    call.reply.simple = SimpleReply{};
    call.reply.simple.error = static_cast<std::uint32_t>(call.error);
    call.reply.simple.cookie = call.request.cookie;
    call.reply_bytes = sizeof(SimpleReply);
  } else if (call.error != NbdError::none) {
    call.reply.error = ErrorReply{};
    call.reply.error.header.type = kChunkError;
    call.reply.error.header.cookie = call.request.cookie;
    call.reply.error.header.length = sizeof(ErrorReply) - sizeof(StructuredReply);
    call.reply.error.error = static_cast<std::uint32_t>(call.error);
    call.reply.error.message_length = 0;
    call.reply_bytes = sizeof(ErrorReply);
  } else {
    call.reply.data = OffsetDataReply{};
    call.reply.data.header.type = kChunkOffsetData;
    call.reply.data.header.cookie = call.request.cookie;
    call.reply.data.header.length = static_cast<std::uint32_t>(sizeof(Be64) + call.request.length);
    call.reply.data.offset = call.request.offset;
    call.reply_bytes = sizeof(OffsetDataReply);
  }
}

void Connection::send_replies() {
  if (send_busy_ || answered_.empty()) return;
  send_first_ = 0;
  send_count_ = 0;
  for (std::size_t i = 0; i < kSendBatch && !answered_.empty(); ++i) {
    auto& call = static_cast<Call&>(answered_.front());
    answered_.pop_front();
    sending_.push_back(call);
    send_vectors_[send_count_++] = {&call.reply, call.reply_bytes};
    if (call.buffer.data != nullptr)
      send_vectors_[send_count_++] = {call.buffer.data, call.request.length};
  }
  send_busy_ = true;
  home.start(send_);
}

void Connection::prepare_send(Operation& self, io_uring_sqe& entry) noexcept {
  Connection& connection = *static_cast<SendOperation&>(self).connection;
  connection.send_message_ = {};
  connection.send_message_.msg_iov = &connection.send_vectors_[connection.send_first_];
  connection.send_message_.msg_iovlen = connection.send_count_ - connection.send_first_;
  io_uring_prep_sendmsg(&entry, connection.fd_, &connection.send_message_,
                        MSG_NOSIGNAL | MSG_WAITALL);
}

void Connection::sent(std::int32_t result) {
  if (result == -EAGAIN || result == -EINTR) return home.start(send_);
  if (result <= 0) return fail_sends();
  auto left = static_cast<std::size_t>(result);
  while (send_first_ < send_count_ && left >= send_vectors_[send_first_].iov_len)
    left -= send_vectors_[send_first_++].iov_len;
  if (send_first_ < send_count_) {
    iovec& cut = send_vectors_[send_first_];
    cut.iov_base = static_cast<std::byte*>(cut.iov_base) + left;
    cut.iov_len -= left;
    return home.start(send_);
  }
  while (!sending_.empty()) {
    auto& call = static_cast<Call&>(sending_.front());
    sending_.pop_front();
    give_back(call);
  }
  send_busy_ = false;
  wake_reader();
  if (!answered_.empty()) home.defer(flush_job_);
}

// The peer is gone: what it will never hear is dropped, and the reader finds the end of the stream.
void Connection::fail_sends() noexcept {
  broken_ = true;
  for (CallList* const list : {&sending_, &answered_}) {
    while (!list->empty()) {
      auto& call = static_cast<Call&>(list->front());
      list->pop_front();
      give_back(call);
    }
  }
  send_busy_ = false;
  shutdown(fd_, SHUT_RDWR);
  wake_reader();
}

}   // namespace real_io::nbd
