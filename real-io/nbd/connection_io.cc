// The part of a connection that turns requests into block I/O.
#include <cstring>

#include "engine/base/check.h"
#include "engine/env/buffer.h"
#include "real-io/nbd/connection.h"
#include "real-io/nbd/connection_call.h"

namespace real_io::nbd {

using engine::Bio;
using engine::BioOp;

namespace {

constexpr std::size_t kZeroesBytes = std::size_t{1} << 20;

// Read only: it is what write_zeroes writes where a device has no such thing.
std::byte* zeroes() noexcept {
  static engine::AlignedBuffer buffer{kZeroesBytes};
  return buffer.data();
}

BioOp op_of(Command command) noexcept {
  switch (command) {
    case Command::read:
      return BioOp::read;
    case Command::write:
      return BioOp::write;
    case Command::trim:
      return BioOp::discard;
    case Command::write_zeroes:
      return BioOp::write_zeroes;
    case Command::flush:
    case Command::disconnect:
      return BioOp::flush;
  }
  return BioOp::flush;
}

}   // namespace

Connection::Call& Connection::take_call(const Request& request) {
  if (free_calls_.empty()) {
    calls_.push_back(std::make_unique<Call>(*this));
    free_calls_.reserve(calls_.size());
    free_calls_.push_back(calls_.back().get());
  }
  Call& call = *free_calls_.back();
  free_calls_.pop_back();
  ++calls_alive_;
  call.request = request;
  call.error = NbdError::none;
  call.stage = request.command == Command::flush ? Call::Stage::flush : Call::Stage::transfer;
  call.done_bytes = 0;
  call.write_zeroes_as_data = request.no_hole && export_->zeroes_leave_holes;
  if (request.transfers()) {
    call.buffer = buffers_.take(request.length);
    bytes_alive_ += request.length;
    ++transfers_alive_;
    tell_whether_busy();
  }
  return call;
}

void Connection::release_buffer(Call& call) noexcept {
  if (call.buffer.data == nullptr) return;
  buffers_.give_back(call.buffer);
  call.buffer = {};
  bytes_alive_ -= call.request.length;
}

void Connection::give_back(Call& call) noexcept {
  release_buffer(call);
  free_calls_.push_back(&call);
  --calls_alive_;
  if (!call.request.transfers()) return;
  --transfers_alive_;
  tell_whether_busy();
}

void Connection::tell_whether_busy() noexcept {
  const bool busy = transfers_alive_ >= kBusyTransfers || (busy_ && transfers_alive_ != 0);
  if (busy == busy_) return;
  busy_ = busy;
  if (busy) {
    home.begin_busy();
  } else {
    home.end_busy();
  }
}

void Connection::advance(Call& call) {
  while (next_piece(call)) {
    call.submitting = true;
    call.ended_at_once = false;
    device_->submit(call.bio);
    call.submitting = false;
    if (!call.ended_at_once) return;
    take_result(call);
  }
  answer(call, call.error);
}

bool Connection::next_piece(Call& call) {
  if (call.stage == Call::Stage::over) return false;
  Bio& bio = call.bio;
  bio = Bio{};
  bio.owner = &call;
  bio.end_io = &Connection::piece_ended;
  call.piece_bytes = 0;
  if (call.stage == Call::Stage::flush) {
    bio.op = BioOp::flush;
    return true;
  }
  const Request& request = call.request;
  const engine::DeviceLimits limits = device_->limits();
  bio.op = op_of(request.command);
  std::uint64_t longest = limits.transfer_sectors_max << engine::kSectorShift;
  bio.fua = request.fua;
  switch (bio.op) {
    case BioOp::read:
      bio.fua = false;
      bio.data = call.buffer.data + call.done_bytes;
      break;
    case BioOp::write:
      bio.data = call.buffer.data + call.done_bytes;
      break;
    case BioOp::discard:
      bio.fua = false;
      longest = limits.discard_sectors_max << engine::kSectorShift;
      break;
    case BioOp::write_zeroes:
      if (call.write_zeroes_as_data) {
        bio.op = BioOp::write;
        bio.data = zeroes();
        longest = std::min<std::uint64_t>(longest, kZeroesBytes);
      } else {
        longest = request.length;
      }
      break;
    case BioOp::flush:
      break;
  }
  const std::uint64_t left = request.length - call.done_bytes;
  call.piece_bytes = longest == 0 ? left : std::min(left, longest);
  bio.sector = engine::Sector{(request.offset + call.done_bytes) >> engine::kSectorShift};
  bio.sectors = call.piece_bytes >> engine::kSectorShift;
  return true;
}

void Connection::piece_ended(Bio& bio) {
  Call& call = *static_cast<Call*>(bio.owner);
  Reactor& home = call.connection.home;
  if (Reactor::current() == &home) {
    call.connection.finish_piece(call);
  } else {
    home.post(call.arrival);
  }
}

void Connection::finish_piece(Call& call) {
  if (call.submitting) {
    call.ended_at_once = true;
    return;
  }
  take_result(call);
  advance(call);
}

void Connection::take_result(Call& call) {
  const engine::Errc status = call.bio.status;
  const Request& request = call.request;
  if (status == engine::Errc::not_supported && call.bio.op == BioOp::write_zeroes) {
    call.write_zeroes_as_data = true;   // the same piece again, in smaller ones
    return;
  }
  if (status != engine::Errc::ok) {
    call.error = to_nbd_error(status);
    call.stage = Call::Stage::over;
    return;
  }
  if (call.stage == Call::Stage::flush) {
    call.stage = Call::Stage::over;
    return;
  }
  call.done_bytes += call.piece_bytes;
  if (call.done_bytes < request.length) {
    if (!call.connection.cut_) return;
    call.error = NbdError::io;   // nobody will hear of it
    call.stage = Call::Stage::over;
    return;
  }
  const bool flush_after = request.command == Command::trim && request.fua;
  call.stage = flush_after ? Call::Stage::flush : Call::Stage::over;
}

}   // namespace real_io::nbd
