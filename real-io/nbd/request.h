// One request header judged against its export: what is to be done, or what to answer, or that the
// peer is not to be trusted any further. No I/O, no state.
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/base/bytes.h"
#include "engine/base/result.h"
#include "real-io/nbd/export.h"
#include "real-io/nbd/protocol.h"

namespace real_io::nbd {

struct Request {
  enum class Verdict : std::uint8_t {
    run,          // well-formed, within the export
    refuse,       // answer `error`; a write's payload follows and must be swallowed
    disconnect,   // the peer ends in good order
    hostile,      // no way to tell where the next request begins, or no good faith
  };
  Verdict verdict = Verdict::hostile;
  Command command = Command::read;
  NbdError error = NbdError::none;
  bool fua = false;
  bool no_hole = false;   // of a write_zeroes: later writes there must find their space
  std::uint32_t length = 0;
  std::uint32_t payload = 0;   // bytes that follow the header on the wire
  std::uint64_t cookie = 0;
  std::uint64_t offset = 0;
  std::string_view problem;   // for refuse and hostile

  // It runs and moves `length` bytes of data: it has a buffer.
  [[nodiscard]] bool transfers() const noexcept {
    return verdict == Verdict::run && (command == Command::read || command == Command::write);
  }
};

// `header` holds sizeof(RequestHeader) bytes.
[[nodiscard]] Request judge_request(engine::ConstBytes header, const ExportFacts& facts);

[[nodiscard]] NbdError to_nbd_error(engine::Errc status) noexcept;

}   // namespace real_io::nbd
