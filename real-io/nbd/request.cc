#include "real-io/nbd/request.h"

namespace real_io::nbd {
namespace {

Request refused(Request request, NbdError error, std::string_view problem) {
  request.verdict = Request::Verdict::refuse;
  request.error = error;
  request.problem = problem;
  return request;
}

Request hostile(Request request, std::string_view problem) {
  request.verdict = Request::Verdict::hostile;
  request.problem = problem;
  return request;
}

// The flags that go with a command; others are refused.
std::uint16_t flags_of(Command command) noexcept {
  switch (command) {
    case Command::read:
      return kFua | kDontFragment;
    case Command::write:
    case Command::trim:
      return kFua;
    case Command::write_zeroes:
      return kFua | kNoHole;
    case Command::flush:
    case Command::disconnect:
      return kFua;
  }
  return 0;
}

bool known(std::uint16_t command) noexcept {
  switch (Command{command}) {
    case Command::read:
    case Command::write:
    case Command::disconnect:
    case Command::flush:
    case Command::trim:
    case Command::write_zeroes:
      return true;
  }
  return false;
}

}   // namespace

Request judge_request(engine::ConstBytes bytes, const ExportFacts& facts) {
  const auto& header = engine::view_as<RequestHeader>(bytes);
  Request request;
  request.command = Command{header.command.value()};
  request.cookie = header.cookie.value();
  request.offset = header.offset.value();
  request.length = header.length.value();
  const std::uint16_t flags = header.flags.value();
  request.fua = (flags & kFua) != 0;
  request.no_hole = (flags & kNoHole) != 0;

  if (header.magic.value() != kRequestMagic)
    return hostile(request, "a request does not begin with its magic number");
  if (!known(header.command.value())) return refused(request, NbdError::invalid, "unknown command");
  if (request.command == Command::write) {
    if (request.length > kRequestBytesMax) return hostile(request, "a write beyond 32 MiB");
    request.payload = request.length;
  }
  if (request.command == Command::disconnect) {
    request.verdict = Request::Verdict::disconnect;
    return request;
  }
  if ((flags & ~flags_of(request.command)) != 0)
    return refused(request, NbdError::invalid, "flags that do not go with the command");
  request.verdict = Request::Verdict::run;
  if (request.command == Command::flush) {
    request.offset = 0;
    request.length = 0;
    return request;
  }
  if (request.command != Command::read && (facts.flags & kReadOnly) != 0)
    return refused(request, NbdError::not_permitted, "the export is read-only");
  if (request.command == Command::trim && (facts.flags & kSendTrim) == 0)
    return refused(request, NbdError::not_supported, "the export has no trim");
  if (request.command == Command::read && request.length > kRequestBytesMax)
    return refused(request, NbdError::overflow, "a read beyond 32 MiB");
  if (request.length == 0) return refused(request, NbdError::invalid, "a length of zero");
  if (request.offset % facts.block_bytes_min != 0 || request.length % facts.block_bytes_min != 0)
    return refused(request, NbdError::invalid, "not in whole blocks");
  if (request.offset > facts.size_bytes || request.length > facts.size_bytes - request.offset) {
    const bool grows =
        request.command == Command::write || request.command == Command::write_zeroes;
    return refused(request, grows ? NbdError::no_space : NbdError::invalid, "past the end");
  }
  return request;
}

NbdError to_nbd_error(engine::Errc status) noexcept {
  using engine::Errc;
  switch (status) {
    case Errc::ok:
      return NbdError::none;
    case Errc::invalid:
      return NbdError::invalid;
    case Errc::no_data_space:
    case Errc::no_metadata_space:
      return NbdError::no_space;
    case Errc::read_only:
    case Errc::not_permitted:
      return NbdError::not_permitted;
    case Errc::not_supported:
      return NbdError::not_supported;
    case Errc::io_error:
    case Errc::power_lost:
    case Errc::corrupt:
    case Errc::not_found:
    case Errc::exists:
    case Errc::busy:
    case Errc::would_block:
    case Errc::requeue:
    case Errc::failed:
      return NbdError::io;
  }
  return NbdError::io;
}

}   // namespace real_io::nbd
