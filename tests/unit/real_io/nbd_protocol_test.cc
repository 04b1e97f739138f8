// Negotiation and request judging without I/O, also under hostile bytes.
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "real-io/nbd/handshake.h"
#include "real-io/nbd/request.h"

namespace real_io::nbd {
namespace {

using Bytes = std::vector<std::byte>;
using State = Handshake::State;

template <typename T>
void append(Bytes& out, const T& value) {
  for (const std::byte byte : std::as_bytes(std::span{&value, 1}))
    out.push_back(byte);
}
void append_text(Bytes& out, std::string_view text) {
  for (const char c : text)
    out.push_back(static_cast<std::byte>(c));
}

Bytes client_flags(std::uint32_t flags = kFixedNewstyle | kNoZeroes) {
  Bytes out;
  append(out, Be32{flags});
  return out;
}
Bytes option(std::uint32_t number, const Bytes& data = {}, std::uint64_t magic = kOptionMagic) {
  Bytes out;
  OptionHeader header;
  header.magic = magic;
  header.option = number;
  header.length = static_cast<std::uint32_t>(data.size());
  append(out, header);
  out.insert(out.end(), data.begin(), data.end());
  return out;
}
Bytes go_data(std::string_view name, const std::vector<std::uint16_t>& infos = {}) {
  Bytes out;
  append(out, Be32{static_cast<std::uint32_t>(name.size())});
  append_text(out, name);
  append(out, Be16{static_cast<std::uint16_t>(infos.size())});
  for (const std::uint16_t info : infos)
    append(out, Be16{info});
  return out;
}

struct Reply {
  std::uint32_t option;
  std::uint32_t type;
  Bytes data;
};
// All option replies in `bytes`.
std::vector<Reply> replies_in(std::span<const std::byte> bytes) {
  std::vector<Reply> replies;
  while (!bytes.empty()) {
    EXPECT_GE(bytes.size(), sizeof(OptionReplyHeader));
    const auto& header = engine::view_as<OptionReplyHeader>(bytes);
    EXPECT_EQ(header.magic.value(), kOptionReplyMagic);
    const auto data = bytes.subspan(sizeof header, header.length.value());
    replies.push_back({header.option.value(), header.type.value(), {data.begin(), data.end()}});
    bytes = bytes.subspan(sizeof header + data.size());
  }
  return replies;
}

const std::vector<ExportFacts>& two_exports() {
  static const std::vector<ExportFacts> exports = {
      {.name = "a", .description = "first", .size_bytes = 1 << 20, .flags = kHasFlags},
      {.name = "bb", .description = "second", .size_bytes = 4096, .flags = kHasFlags}};
  return exports;
}

class HandshakeTest : public testing::Test {
 protected:
  void SetUp() override {
    EXPECT_EQ(machine.output().size(), sizeof(Greeting));
    machine.output().clear();
  }
  void give(const Bytes& bytes) { EXPECT_EQ(machine.feed(bytes), bytes.size()); }
  std::vector<Reply> take() {
    auto replies = replies_in(machine.output());
    machine.output().clear();
    return replies;
  }
  Handshake machine{two_exports()};
};

TEST_F(HandshakeTest, GoesToTransmissionWithSizeFlagsAndBlockSizes) {
  give(client_flags());
  give(option(7, go_data("bb", {3})));
  const auto replies = take();
  ASSERT_EQ(replies.size(), 3U);
  EXPECT_EQ(replies[0].data.size(), 12U);
  EXPECT_EQ(engine::view_as<Be64>(std::span{replies[0].data}.subspan(2)).value(), 4096U);
  EXPECT_EQ(replies[1].data.size(), 14U);
  EXPECT_EQ(replies[2].type, static_cast<std::uint32_t>(OptionReply::ack));
  EXPECT_EQ(machine.state(), State::transmission);
  EXPECT_EQ(machine.export_index(), 1U);
  EXPECT_FALSE(machine.structured_replies());
}

TEST_F(HandshakeTest, TakesBytesOneByOne) {
  Bytes all = client_flags();
  for (const Bytes& more : {option(8), option(7, go_data(""))})
    all.insert(all.end(), more.begin(), more.end());
  std::size_t begin = 0;
  for (std::size_t end = 1; end <= all.size(); ++end)
    begin += machine.feed(std::span{all}.subspan(begin, end - begin));
  EXPECT_EQ(begin, all.size());
  EXPECT_EQ(machine.state(), State::transmission);
  EXPECT_EQ(machine.export_index(), 0U);
  EXPECT_TRUE(machine.structured_replies());
}

TEST_F(HandshakeTest, LeavesTheFirstRequestAlone) {
  give(client_flags());
  Bytes all = option(7, go_data("a"));
  const std::size_t negotiation = all.size();
  all.resize(all.size() + 28, std::byte{0x25});
  EXPECT_EQ(machine.feed(all), negotiation);
}

TEST_F(HandshakeTest, ExportNameAnswersWithoutHeaderAndPadsForOldClients) {
  give(client_flags(kFixedNewstyle));
  Bytes name;
  append_text(name, "a");
  give(option(1, name));
  EXPECT_EQ(machine.output().size(), 8U + 2U + 124U);
  EXPECT_EQ(machine.state(), State::transmission);
}

TEST_F(HandshakeTest, RefusesWhatItDoesNotKnowAndGoesOn) {
  give(client_flags());
  give(option(5));    // TLS
  give(option(10));   // metadata contexts
  give(option(7, go_data("c")));
  give(option(8, Bytes(3)));   // takes no data
  give(option(3, Bytes(1)));
  give(option(7, Bytes(2)));   // too short
  Bytes lying;
  append(lying, Be32{0xffffffff});
  append(lying, Be16{0});
  give(option(6, lying));
  const auto replies = take();
  ASSERT_EQ(replies.size(), 7U);
  for (const Reply& reply : replies)
    EXPECT_NE(reply.type & kErrorBit, 0U);
  EXPECT_EQ(machine.state(), State::options);
  give(option(3));
  EXPECT_EQ(take().size(), 3U);   // two exports and the end
  give(option(2));
  EXPECT_EQ(machine.state(), State::closed);
}

TEST_F(HandshakeTest, BreaksOffOnBadMagicFlagsOrLength) {
  for (const auto& [first, second] :
       {std::pair{client_flags(0x80), Bytes{}}, std::pair{client_flags(), option(7, {}, 1)},
        std::pair{client_flags(), option(3, Bytes(Handshake::kOptionBytesMax + 1))},
        std::pair{client_flags(), option(1, Bytes(5, std::byte{'x'}))}}) {
    Handshake fresh{two_exports()};
    (void)fresh.feed(first);
    (void)fresh.feed(second);
    EXPECT_EQ(fresh.state(), State::broken);
    EXPECT_FALSE(fresh.problem().empty());
  }
}

TEST_F(HandshakeTest, EndsAClientThatNeverStopsAsking) {
  give(client_flags());
  for (std::uint32_t i = 0; i < Handshake::kOptionsMax + 2 * Handshake::kOptionsPerExport; ++i)
    give(option(99));
  EXPECT_EQ(machine.state(), State::options);
  (void)machine.feed(option(99));
  EXPECT_EQ(machine.state(), State::broken);
}

TEST_F(HandshakeTest, TellsOfEachOfManyExportsOnOneConnection) {
  std::vector<ExportFacts> many(1000);
  for (std::size_t i = 0; i < many.size(); ++i)
    many[i].name = fmt::format("volume-{}", i);
  Handshake fresh{many};
  (void)fresh.feed(client_flags());
  for (const ExportFacts& each : many) {
    fresh.output().clear();
    (void)fresh.feed(option(6, go_data(each.name, {3})));
    (void)fresh.feed(option(6, go_data(each.name, {1, 2})));
    ASSERT_EQ(fresh.state(), State::options) << each.name;
    ASSERT_GT(fresh.output().size(), each.name.size());
  }
}

TEST_F(HandshakeTest, TakesNoMoreThanItMayAnswer) {
  std::vector<ExportFacts> many(100);
  for (ExportFacts& each : many)
    each.name = std::string(100, 'v');
  Handshake fresh{many};
  Bytes all = client_flags();
  const Bytes list = option(3);
  for (int i = 0; i < 100; ++i)
    all.insert(all.end(), list.begin(), list.end());
  std::size_t begin = 0;
  std::size_t sent = 0;
  while (begin < all.size()) {
    const std::size_t taken = fresh.feed(std::span{all}.subspan(begin));
    ASSERT_NE(taken, 0U);
    begin += taken;
    ASSERT_LT(fresh.output().size(), 100U << 10);
    sent += fresh.output().size();
    fresh.output().clear();
  }
  EXPECT_GT(sent, 100U * 100 * 100);
}

// Random streams, and good streams with some bytes changed: the machine must stay within its input
// and its output bounded, whatever it makes of them.
TEST(HandshakeFuzz, SurvivesHostileBytes) {
  std::mt19937_64 random{1};
  for (int round = 0; round < 20'000; ++round) {
    Bytes stream = client_flags();
    for (int i = 0; i < 4; ++i) {
      const Bytes more =
          random() % 2 == 0
              ? option(static_cast<std::uint32_t>(random() % 12), Bytes(random() % 40))
              : option(6 + random() % 2, go_data(random() % 2 ? "zz" : "a", {1, 2, 3}));
      stream.insert(stream.end(), more.begin(), more.end());
    }
    for (std::uint64_t i = random() % 6; i != 0; --i)
      stream[random() % stream.size()] = static_cast<std::byte>(random());
    if (random() % 8 == 0)
      for (std::byte& byte : stream)
        byte = static_cast<std::byte>(random());
    Handshake machine{two_exports()};
    std::size_t begin = 0;
    for (std::size_t end = 0; begin < stream.size() && end < stream.size();) {
      end = std::min(stream.size(), end + 1 + random() % 50);
      // A copy of its own, so that a read past its end is seen.
      const Bytes given{stream.begin() + static_cast<std::ptrdiff_t>(begin),
                        stream.begin() + static_cast<std::ptrdiff_t>(end)};
      const std::size_t taken = machine.feed(given);
      ASSERT_LE(taken, given.size());
      ASSERT_LE(machine.output().size(), std::size_t{1} << 20);
      begin += taken;
      if (machine.state() == State::broken || machine.state() == State::closed) break;
      if (machine.state() == State::transmission) {
        ASSERT_LT(machine.export_index(), two_exports().size());
        break;
      }
    }
  }
}

// --- Requests ---

ExportFacts one_mib(std::uint16_t flags = kHasFlags | kSendFlush | kSendFua | kSendTrim) {
  return {.name = "x", .description = "", .size_bytes = 1 << 20, .flags = flags};
}
Request judge(int command, std::uint64_t offset, std::uint32_t length, std::uint16_t flags = 0,
              const ExportFacts& facts = one_mib(), std::uint32_t magic = kRequestMagic) {
  RequestHeader header;
  header.magic = magic;
  header.flags = flags;
  header.command = static_cast<std::uint16_t>(command);
  header.cookie = 42;
  header.offset = offset;
  header.length = length;
  return judge_request(std::as_bytes(std::span{&header, 1}), facts);
}

TEST(NbdRequest, RunsWhatLiesWithinTheExport) {
  using Verdict = Request::Verdict;
  for (const int command : {0, 1, 4, 6}) {
    EXPECT_EQ(judge(command, 0, 1 << 20).verdict, Verdict::run) << command;
    EXPECT_EQ(judge(command, (1 << 20) - 512, 512).verdict, Verdict::run);
    EXPECT_EQ(judge(command, (1 << 20) - 512, 1024).verdict, Verdict::refuse);
    EXPECT_EQ(judge(command, 1 << 20, 512).verdict, Verdict::refuse);
    EXPECT_EQ(judge(command, ~std::uint64_t{511}, 512).verdict, Verdict::refuse);
    EXPECT_EQ(judge(command, ~std::uint64_t{511}, 1024).verdict, Verdict::refuse);
    EXPECT_EQ(judge(command, 0, 0).error, NbdError::invalid);
    EXPECT_EQ(judge(command, 1, 512).error, NbdError::invalid);
    EXPECT_EQ(judge(command, 0, 513).error, NbdError::invalid);
    EXPECT_EQ(judge(command, 0, 512, 1U << 9).error, NbdError::invalid);
  }
  EXPECT_EQ(judge(3, 0, 0).verdict, Verdict::run);
  EXPECT_EQ(judge(2, 0, 0).verdict, Verdict::disconnect);
}

TEST(NbdRequest, ToldOfPayloadsEvenWhenItRefuses) {
  const Request past_end = judge(1, 1 << 20, 8192);
  EXPECT_EQ(past_end.verdict, Request::Verdict::refuse);
  EXPECT_EQ(past_end.error, NbdError::no_space);
  EXPECT_EQ(past_end.payload, 8192U);
  EXPECT_EQ(past_end.cookie, 42U);
  EXPECT_EQ(judge(0, 1 << 20, 8192).payload, 0U);
}

TEST(NbdRequest, KeepsOffReadOnlyExports) {
  const ExportFacts facts = one_mib(kHasFlags | kReadOnly);
  for (const int command : {1, 4, 6})
    EXPECT_EQ(judge(command, 0, 512, 0, facts).error, NbdError::not_permitted);
  EXPECT_EQ(judge(0, 0, 512, 0, facts).verdict, Request::Verdict::run);
}

TEST(NbdRequest, DistrustsWhatHasNoMagicOrAnAbsurdPayload) {
  EXPECT_EQ(judge(0, 0, 512, 0, one_mib(), 1).verdict, Request::Verdict::hostile);
  EXPECT_EQ(judge(1, 0, kRequestBytesMax + 1).verdict, Request::Verdict::hostile);
  EXPECT_EQ(judge(0, 0, kRequestBytesMax + 1).error, NbdError::overflow);
  EXPECT_EQ(judge(77, 0, 512).error, NbdError::invalid);
}

TEST(NbdRequestFuzz, NeverLetsARangePastTheEndThrough) {
  std::mt19937_64 random{2};
  const ExportFacts facts = one_mib();
  for (int i = 0; i < 500'000; ++i) {
    RequestHeader header;
    const std::uint64_t edge = random() % 4 == 0 ? ~std::uint64_t{0} : std::uint64_t{1} << 20;
    header.magic = random() % 16 == 0 ? static_cast<std::uint32_t>(random()) : kRequestMagic;
    header.flags = static_cast<std::uint16_t>(random() % 8);
    header.command = static_cast<std::uint16_t>(random() % 9);
    header.offset = (edge - random() % 4096 * 512) & ~(random() % 8 == 0 ? 0U : 511U);
    header.length = static_cast<std::uint32_t>(random() >> (32 + random() % 30));
    const Request request = judge_request(std::as_bytes(std::span{&header, 1}), facts);
    if (request.verdict != Request::Verdict::run || request.command == Command::flush) continue;
    ASSERT_EQ(request.offset % 512, 0U);
    ASSERT_EQ(request.length % 512, 0U);
    ASSERT_LE(request.offset, facts.size_bytes);
    ASSERT_LE(request.length, facts.size_bytes - request.offset);
  }
}

}   // namespace
}   // namespace real_io::nbd
