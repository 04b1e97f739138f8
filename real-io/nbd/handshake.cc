#include "real-io/nbd/handshake.h"

#include <algorithm>

#include <fmt/format.h>

namespace real_io::nbd {
namespace {

template <typename T>
void append(std::vector<std::byte>& out, const T& value) {
  const auto* const first = reinterpret_cast<const std::byte*>(&value);
  out.insert(out.end(), first, first + sizeof value);
}

void append_text(std::vector<std::byte>& out, std::string_view text) {
  const auto* const first = reinterpret_cast<const std::byte*>(text.data());
  out.insert(out.end(), first, first + text.size());
}

std::string_view as_text(engine::ConstBytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}   // namespace

Handshake::Handshake(std::span<const ExportFacts> exports) : exports_{exports} {
  append(output_, Greeting{});
}

std::size_t Handshake::feed(engine::ConstBytes input) {
  std::size_t taken = 0;
  for (;;) {
    std::size_t more = 0;
    if (state_ == State::client_flags) {
      more = take_flags(input.subspan(taken));
    } else if (state_ == State::options) {
      more = take_option(input.subspan(taken));
    }
    taken += more;
    if (more == 0 || output_.size() >= kOutputBytes) return taken;
  }
}

std::size_t Handshake::take_flags(engine::ConstBytes input) {
  if (input.size() < sizeof(Be32)) return 0;
  const std::uint32_t flags = engine::view_as<Be32>(input).value();
  if ((flags & ~std::uint32_t{kFixedNewstyle | kNoZeroes}) != 0) {
    broken(fmt::format("unknown client flags {:#x}", flags));
    return sizeof(Be32);
  }
  no_zeroes_ = (flags & kNoZeroes) != 0;
  state_ = State::options;
  return sizeof(Be32);
}

std::size_t Handshake::take_option(engine::ConstBytes input) {
  if (input.size() < sizeof(OptionHeader)) return 0;
  const auto& header = engine::view_as<OptionHeader>(input);
  const std::uint32_t length = header.length.value();
  if (header.magic.value() != kOptionMagic) {
    broken("an option does not begin with its magic number");
    return input.size();
  }
  if (length > kOptionBytesMax) {
    broken(fmt::format("option {} with {} bytes of data", header.option.value(), length));
    return input.size();
  }
  if (input.size() - sizeof(OptionHeader) < length) return 0;
  if (++options_seen_ > kOptionsMax + kOptionsPerExport * exports_.size()) {
    broken("too many options");
    return input.size();
  }
  answer_option(header.option.value(), input.subspan(sizeof(OptionHeader), length));
  return sizeof(OptionHeader) + length;
}

void Handshake::answer_option(std::uint32_t option, engine::ConstBytes data) {
  switch (option) {
    case static_cast<std::uint32_t>(Option::export_name):
      return answer_export_name(data);
    case static_cast<std::uint32_t>(Option::abort):
      reply(option, OptionReply::ack);
      state_ = State::closed;
      return;
    case static_cast<std::uint32_t>(Option::list):
      return answer_list(data);
    case static_cast<std::uint32_t>(Option::info):
    case static_cast<std::uint32_t>(Option::go):
      return answer_info(Option{option}, data);
    case static_cast<std::uint32_t>(Option::structured_reply):
      if (!data.empty()) return refuse(option, OptionReply::invalid, "takes no data");
      structured_ = true;
      return reply(option, OptionReply::ack);
    default:
      return refuse(option, OptionReply::unsupported, "not supported");
  }
}

// The oldest way in: it has no error reply, so an unknown name ends the connection.
void Handshake::answer_export_name(engine::ConstBytes data) {
  const ExportFacts* const facts = find(as_text(data));
  if (facts == nullptr) return broken("no export of that name");
  append(output_, Be64{facts->size_bytes});
  append(output_, Be16{facts->flags});
  constexpr std::size_t kPadding = 124;
  if (!no_zeroes_) output_.resize(output_.size() + kPadding);
  state_ = State::transmission;
}

void Handshake::answer_list(engine::ConstBytes data) {
  const auto option = static_cast<std::uint32_t>(Option::list);
  if (!data.empty()) return refuse(option, OptionReply::invalid, "takes no data");
  for (const ExportFacts& facts : exports_) {
    std::vector<std::byte> entry;
    append(entry, Be32{static_cast<std::uint32_t>(facts.name.size())});
    append_text(entry, facts.name);
    append_text(entry, facts.description);
    reply(option, OptionReply::server, entry);
  }
  reply(option, OptionReply::ack);
}

// u32 length of the name, the name, u16 count of requests, u16 each.
void Handshake::answer_info(Option option, engine::ConstBytes data) {
  const auto number = static_cast<std::uint32_t>(option);
  constexpr std::size_t kFixed = sizeof(Be32) + sizeof(Be16);
  if (data.size() < kFixed) return refuse(number, OptionReply::invalid, "too short");
  const std::size_t name_length = engine::view_as<Be32>(data).value();
  if (name_length > data.size() - kFixed)
    return refuse(number, OptionReply::invalid, "name longer than the option");
  const std::string_view name = as_text(data.subspan(sizeof(Be32), name_length));
  const engine::ConstBytes rest = data.subspan(sizeof(Be32) + name_length);
  const std::size_t requests = engine::view_as<Be16>(rest).value();
  if (rest.size() != sizeof(Be16) * (requests + 1))
    return refuse(number, OptionReply::invalid, "wrong length");
  const ExportFacts* const facts = find(name);
  if (facts == nullptr)
    return refuse(number, OptionReply::unknown_export, "no export of that name");
  send_info(option, *facts, rest.subspan(sizeof(Be16)));
  reply(number, OptionReply::ack);
  if (option == Option::go) state_ = State::transmission;
}

void Handshake::send_info(Option option, const ExportFacts& facts, engine::ConstBytes requests) {
  const auto number = static_cast<std::uint32_t>(option);
  std::vector<std::byte> info;
  append(info, Be16{static_cast<std::uint16_t>(InfoType::export_facts)});
  append(info, Be64{facts.size_bytes});
  append(info, Be16{facts.flags});
  reply(number, OptionReply::info, info);
  // The block sizes bind the client, so it hears of them whether it asked or not.
  info.clear();
  append(info, Be16{static_cast<std::uint16_t>(InfoType::block_size)});
  append(info, Be32{facts.block_bytes_min});
  append(info, Be32{facts.block_bytes_preferred});
  append(info, Be32{kRequestBytesMax});
  reply(number, OptionReply::info, info);
  for (; requests.size() >= sizeof(Be16); requests = requests.subspan(sizeof(Be16))) {
    const std::uint16_t type = engine::view_as<Be16>(requests).value();
    info.clear();
    append(info, Be16{type});
    if (type == static_cast<std::uint16_t>(InfoType::name)) {
      append_text(info, facts.name);
    } else if (type == static_cast<std::uint16_t>(InfoType::description)) {
      append_text(info, facts.description);
    } else {
      continue;   // sent already, or not known
    }
    reply(number, OptionReply::info, info);
    if (output_.size() > std::size_t{4} * kOptionBytesMax) return;   // it asks for the same again
  }
}

void Handshake::reply(std::uint32_t option, OptionReply type, engine::ConstBytes data) {
  OptionReplyHeader header;
  header.option = option;
  header.type = static_cast<std::uint32_t>(type);
  header.length = static_cast<std::uint32_t>(data.size());
  append(output_, header);
  output_.insert(output_.end(), data.begin(), data.end());
}

void Handshake::refuse(std::uint32_t option, OptionReply type, std::string_view why) {
  reply(option, type, std::as_bytes(std::span{why}));
}

void Handshake::broken(std::string problem) {
  problem_ = std::move(problem);
  state_ = State::broken;
}

const ExportFacts* Handshake::find(std::string_view name) {
  const auto found = std::find_if(exports_.begin(), exports_.end(), [&](const ExportFacts& facts) {
    return facts.name == name || (name.empty() && &facts == exports_.data());
  });
  if (found == exports_.end()) return nullptr;
  export_index_ = static_cast<std::size_t>(found - exports_.begin());
  return &*found;
}

}   // namespace real_io::nbd
