// One request on its way: the piece of block I/O under way for it, its buffer and its reply.
#pragma once

#include <algorithm>
#include <variant>

#include "engine/env/bio.h"
#include "real-io/nbd/connection.h"

namespace real_io::nbd {

struct Connection::Call : Connection::CallHook {
  enum class Stage : std::uint8_t { transfer, flush, over };

  explicit Call(Connection& owner) noexcept : connection{owner}, arrival{*this} {}

  Connection& connection;
  Request request;
  BufferPool::Buffer buffer;
  engine::Bio bio;
  NbdError error = NbdError::none;
  Stage stage = Stage::transfer;
  std::uint64_t done_bytes = 0;
  std::uint64_t piece_bytes = 0;
  bool write_zeroes_as_data =
      false;   // the device has no write_zeroes, or not the one that is asked for
  // advance() is submitting: a piece that ends at once only says so.
  bool submitting = false;
  bool ended_at_once = false;

  // Brings an end home from another reactor.
  struct Arrival : Message {
    explicit Arrival(Call& owner) noexcept
        : Message{[](Message& self, Reactor&) {
            Call& arrived = static_cast<Arrival&>(self).call;
            arrived.connection.finish_piece(arrived);
          }},
          call{owner} {}
    Call& call;
  } arrival;

  union Reply {
    Reply() noexcept : simple{} {}
    SimpleReply simple;
    OffsetDataReply data;
    ErrorReply error;
  } reply;
  std::size_t reply_bytes = 0;
};

}   // namespace real_io::nbd
