// The negotiation of one connection as a machine without I/O: bytes in, bytes out, and at the end
// the export that was agreed on. Hostile bytes can only end it: every length is bounded before it
// is believed, and what is kept never exceeds one option.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/bytes.h"
#include "real-io/nbd/export.h"
#include "real-io/nbd/protocol.h"

namespace real_io::nbd {

class Handshake {
 public:
  enum class State : std::uint8_t {
    client_flags,
    options,
    transmission,   // agreed: export_index() and structured_replies() hold
    closed,         // the client said goodbye in good order
    broken,         // the peer does not speak the protocol: problem() says what it did
  };
  static constexpr std::uint32_t kOptionBytesMax = 8192;
  // Whoever asks about one export after the other has some for each.
  static constexpr std::uint32_t kOptionsMax = 256;
  static constexpr std::uint32_t kOptionsPerExport = 4;
  // When so much is to be sent, no further option is taken.
  static constexpr std::size_t kOutputBytes = std::size_t{64} << 10;

  // `exports` must outlive the negotiation; the first also answers to the empty name.
  explicit Handshake(std::span<const ExportFacts> exports);

  // Takes a prefix of `input` and says how long it was; what it could not use yet must be given
  // again, with more behind it, or when what there is to be sent has been cleared. Takes nothing
  // more once transmission begins.
  [[nodiscard]] std::size_t feed(engine::ConstBytes input);
  // What is to be sent; the caller clears it.
  [[nodiscard]] std::vector<std::byte>& output() noexcept { return output_; }

  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] std::size_t export_index() const noexcept { return export_index_; }
  [[nodiscard]] bool structured_replies() const noexcept { return structured_; }
  [[nodiscard]] std::string_view problem() const noexcept { return problem_; }

 private:
  [[nodiscard]] std::size_t take_flags(engine::ConstBytes input);
  [[nodiscard]] std::size_t take_option(engine::ConstBytes input);
  void answer_option(std::uint32_t option, engine::ConstBytes data);
  void answer_export_name(engine::ConstBytes data);
  void answer_list(engine::ConstBytes data);
  void answer_info(Option option, engine::ConstBytes data);
  void send_info(Option option, const ExportFacts& facts, engine::ConstBytes requests);
  void reply(std::uint32_t option, OptionReply type, engine::ConstBytes data = {});
  void refuse(std::uint32_t option, OptionReply type, std::string_view why);
  void broken(std::string problem);
  [[nodiscard]] const ExportFacts* find(std::string_view name);

  std::span<const ExportFacts> exports_;
  std::vector<std::byte> output_;
  std::string problem_;
  State state_ = State::client_flags;
  std::size_t export_index_ = 0;
  std::size_t options_seen_ = 0;
  bool structured_ = false;
  bool no_zeroes_ = false;
};

}   // namespace real_io::nbd
