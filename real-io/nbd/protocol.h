// The NBD protocol's numbers and headers, as in doc/proto.md of the NBD project: fixed newstyle
// negotiation, simple and structured replies. Everything on the wire is big-endian.
#pragma once

#include <cstddef>
#include <cstdint>

#include <boost/endian/buffers.hpp>

namespace real_io::nbd {

using Be16 = boost::endian::big_uint16_buf_t;
using Be32 = boost::endian::big_uint32_buf_t;
using Be64 = boost::endian::big_uint64_buf_t;

// --- Negotiation ---

inline constexpr std::uint64_t kGreetingMagic = 0x4e42444d41474943;   // "NBDMAGIC"
inline constexpr std::uint64_t kOptionMagic = 0x49484156454f5054;     // "IHAVEOPT"
inline constexpr std::uint64_t kOptionReplyMagic = 0x0003e889045565a9;

inline constexpr std::uint16_t kFixedNewstyle = 1U << 0;
inline constexpr std::uint16_t kNoZeroes = 1U << 1;

// As wide as on the wire. NOLINTNEXTLINE(performance-enum-size)
enum class Option : std::uint32_t {
  export_name = 1,
  abort = 2,
  list = 3,
  info = 6,
  go = 7,
  structured_reply = 8,
};

inline constexpr std::uint32_t kErrorBit = 1U << 31;
enum class OptionReply : std::uint32_t {
  ack = 1,
  server = 2,
  info = 3,
  unsupported = kErrorBit + 1,
  invalid = kErrorBit + 3,
  unknown_export = kErrorBit + 6,
  too_big = kErrorBit + 9,
};

// As wide as on the wire. NOLINTNEXTLINE(performance-enum-size)
enum class InfoType : std::uint16_t { export_facts = 0, name = 1, description = 2, block_size = 3 };

struct Greeting {
  Be64 magic{kGreetingMagic};
  Be64 option_magic{kOptionMagic};
  Be16 flags{kFixedNewstyle | kNoZeroes};
};
static_assert(sizeof(Greeting) == 18);

struct OptionHeader {
  Be64 magic{};
  Be32 option{};
  Be32 length{};
};
static_assert(sizeof(OptionHeader) == 16);

struct OptionReplyHeader {
  Be64 magic{kOptionReplyMagic};
  Be32 option{};
  Be32 type{};
  Be32 length{};
};
static_assert(sizeof(OptionReplyHeader) == 20);

// --- Transmission ---

inline constexpr std::uint16_t kHasFlags = 1U << 0;
inline constexpr std::uint16_t kReadOnly = 1U << 1;
inline constexpr std::uint16_t kSendFlush = 1U << 2;
inline constexpr std::uint16_t kSendFua = 1U << 3;
inline constexpr std::uint16_t kSendTrim = 1U << 5;
inline constexpr std::uint16_t kSendWriteZeroes = 1U << 6;
inline constexpr std::uint16_t kSendDf = 1U << 7;
inline constexpr std::uint16_t kCanMultiConn = 1U << 8;

inline constexpr std::uint32_t kRequestMagic = 0x25609513;
inline constexpr std::uint32_t kSimpleReplyMagic = 0x67446698;
inline constexpr std::uint32_t kStructuredReplyMagic = 0x668e33ef;

// As wide as on the wire. NOLINTNEXTLINE(performance-enum-size)
enum class Command : std::uint16_t {
  read = 0,
  write = 1,
  disconnect = 2,
  flush = 3,
  trim = 4,
  write_zeroes = 6,
};

inline constexpr std::uint16_t kFua = 1U << 0;
inline constexpr std::uint16_t kNoHole = 1U << 1;
inline constexpr std::uint16_t kDontFragment = 1U << 2;

// As wide as on the wire. NOLINTNEXTLINE(performance-enum-size)
enum class NbdError : std::uint32_t {
  none = 0,
  not_permitted = 1,
  io = 5,
  no_memory = 12,
  invalid = 22,
  no_space = 28,
  overflow = 75,
  not_supported = 95,
  shutdown = 108,
};

struct RequestHeader {
  Be32 magic{};
  Be16 flags{};
  Be16 command{};
  Be64 cookie{};
  Be64 offset{};
  Be32 length{};
};
static_assert(sizeof(RequestHeader) == 28);

struct SimpleReply {
  Be32 magic{kSimpleReplyMagic};
  Be32 error{};
  Be64 cookie{};
};
static_assert(sizeof(SimpleReply) == 16);

inline constexpr std::uint16_t kChunkDone = 1U << 0;
inline constexpr std::uint16_t kChunkOffsetData = 1;
inline constexpr std::uint16_t kChunkError = (1U << 15) + 1;

struct StructuredReply {
  Be32 magic{kStructuredReplyMagic};
  Be16 flags{kChunkDone};
  Be16 type{};
  Be64 cookie{};
  Be32 length{};
};
static_assert(sizeof(StructuredReply) == 20);

struct OffsetDataReply {
  StructuredReply header;
  Be64 offset{};
};
static_assert(sizeof(OffsetDataReply) == 28);

struct ErrorReply {
  StructuredReply header;
  Be32 error{};
  Be16 message_length{};
};
static_assert(sizeof(ErrorReply) == 26);

}   // namespace real_io::nbd
