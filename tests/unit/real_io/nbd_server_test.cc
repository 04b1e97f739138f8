// The server over a real socket and a real file, spoken to byte by byte.
#include <array>
#include <atomic>
#include <cstring>
#include <fstream>
#include <random>
#include <span>

#include <sys/socket.h>
#include <sys/un.h>

#include "real-io/nbd/protocol.h"
#include "real-io/nbd/server.h"
#include "real-io/uring_device.h"
#include "tests/unit/real_io/fixture.h"

namespace real_io::nbd {
namespace {

constexpr std::uint64_t kFileBytes = std::uint64_t{8} << 20;

// A client that blocks, on the test's own thread.
class Client {
 public:
  explicit Client(const std::string& path) : fd_{socket(AF_UNIX, SOCK_STREAM, 0)} {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    EXPECT_EQ(connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  ~Client() { close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void send(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      bytes = bytes.subspan(static_cast<std::size_t>(sent));
    }
  }
  template <typename T>
  void send_value(const T& value) {
    send(std::as_bytes(std::span{&value, 1}));
  }
  // False at the end of the stream.
  bool receive(std::span<std::byte> bytes) {
    return recv(fd_, bytes.data(), bytes.size(), MSG_WAITALL) == static_cast<ssize_t>(bytes.size());
  }
  template <typename T>
  T receive_value() {
    T value{};
    EXPECT_TRUE(receive(std::as_writable_bytes(std::span{&value, 1})));
    return value;
  }
  bool closed_by_peer() {
    std::byte byte{};
    ssize_t got = 0;
    do {
      got = recv(fd_, &byte, 1, 0);
    } while (got > 0);
    return got == 0 || errno == ECONNRESET;
  }

  void negotiate() {
    (void)receive_value<Greeting>();
    send_value(Be32{kFixedNewstyle | kNoZeroes});
    OptionHeader header;
    header.magic = kOptionMagic;
    header.option = static_cast<std::uint32_t>(Option::export_name);
    header.length = 0;
    send_value(header);
    EXPECT_EQ(receive_value<Be64>().value(), kFileBytes);
    (void)receive_value<Be16>();
  }
  void request(Command command, std::uint64_t cookie, std::uint64_t offset, std::uint32_t length) {
    RequestHeader header;
    header.magic = kRequestMagic;
    header.flags = 0;
    header.command = static_cast<std::uint16_t>(command);
    header.cookie = cookie;
    header.offset = offset;
    header.length = length;
    send_value(header);
  }

 private:
  int fd_;
};

class NbdServerTest : public RealIoTest {
 protected:
  void SetUp() override {
    RealIoTest::SetUp();
    if (IsSkipped()) return;
    device_ = *UringDevice::open(executor_, file_.path());
    server_.set_exports({std::make_shared<Export>(
        Export{.name = "x", .description = "", .device = device_.get()})});
    ASSERT_TRUE(server_.bind(socket_));
    ASSERT_TRUE(server_.listen());
  }
  void TearDown() override {
    if (device_ == nullptr) return;
    executor_.run([&] { server_.stop(); });
    EXPECT_EQ(server_.connections(), 0U);
  }

  TemporaryFile file_{kFileBytes};
  const std::string socket_ = file_.path() + ".sock";
  UringExecutor executor_{UringExecutor::Options{
      .reactors = 2, .reactor = {.busy_spin = std::chrono::microseconds{120}}}};
  std::unique_ptr<UringDevice> device_;
  std::atomic<int> logged_{0};
  Server server_{executor_, {}, [this](std::string_view) { ++logged_; }};
};

TEST_F(NbdServerTest, AnswersPipelinedRequestsOfAllKinds) {
  Client client{socket_};
  client.negotiate();
  const std::vector<std::byte> data(65536, std::byte{0x5a});
  constexpr std::uint64_t kRequests = 200;
  for (std::uint64_t i = 0; i < kRequests; ++i) {
    client.request(Command::write, i, i % 100 * 65536, 4096);
    client.send(std::span{data}.first(4096));
  }
  std::vector<bool> seen(kRequests);
  for (std::uint64_t i = 0; i < kRequests; ++i) {
    const auto reply = client.receive_value<SimpleReply>();
    EXPECT_EQ(reply.magic.value(), kSimpleReplyMagic);
    EXPECT_EQ(reply.error.value(), 0U);
    ASSERT_LT(reply.cookie.value(), kRequests);
    EXPECT_FALSE(seen[reply.cookie.value()]);
    seen[reply.cookie.value()] = true;
  }
  client.request(Command::read, 7, 65536, 65536);
  EXPECT_EQ(client.receive_value<SimpleReply>().cookie.value(), 7U);
  std::vector<std::byte> back(65536);
  ASSERT_TRUE(client.receive(back));
  EXPECT_TRUE(std::equal(back.begin(), back.begin() + 4096, data.begin()));
  EXPECT_EQ(back[4096], std::byte{0});
  client.request(Command::flush, 8, 0, 0);
  EXPECT_EQ(client.receive_value<SimpleReply>().cookie.value(), 8U);
  client.request(Command::disconnect, 9, 0, 0);
  EXPECT_TRUE(client.closed_by_peer());
  EXPECT_EQ(logged_, 0);
}

TEST_F(NbdServerTest, RefusesWithoutLosingItsPlace) {
  Client client{socket_};
  client.negotiate();
  const std::vector<std::byte> data(8192, std::byte{1});
  client.request(Command::write, 1, kFileBytes, 8192);   // past the end, with its payload
  client.send(data);
  client.request(Command::read, 2, 1, 512);   // not in whole blocks
  client.request(Command{99}, 3, 0, 0);
  client.request(Command::flush, 4, 0, 0);
  const std::array<NbdError, 4> errors = {NbdError::no_space, NbdError::invalid, NbdError::invalid,
                                          NbdError::none};
  for (int i = 0; i < 4; ++i) {
    const auto reply = client.receive_value<SimpleReply>();
    const std::uint64_t cookie = reply.cookie.value();
    ASSERT_GE(cookie, 1U);
    ASSERT_LE(cookie, 4U);
    EXPECT_EQ(reply.error.value(), static_cast<std::uint32_t>(errors[cookie - 1])) << cookie;
  }
}

TEST_F(NbdServerTest, HostileBytesEndTheirConnectionWithOneLineAndTouchNothing) {
  std::mt19937_64 random{3};
  Client bystander{socket_};
  bystander.negotiate();
  constexpr int kRounds = 200;
  for (int round = 0; round < kRounds; ++round) {
    Client client{socket_};
    client.negotiate();
    std::array<std::uint64_t, 64> noise{};
    for (std::uint64_t& word : noise)
      word = random();
    client.send(std::as_bytes(std::span{noise}));
    EXPECT_TRUE(client.closed_by_peer());
  }
  EXPECT_EQ(logged_, kRounds);
  bystander.request(Command::flush, 4, 0, 0);
  EXPECT_EQ(bystander.receive_value<SimpleReply>().cookie.value(), 4U);
  std::ifstream file{file_.path(), std::ios::binary};
  std::vector<char> content(kFileBytes);
  file.read(content.data(), static_cast<std::streamsize>(content.size()));
  EXPECT_EQ(std::count(content.begin(), content.end(), '\0'),
            static_cast<std::ptrdiff_t>(kFileBytes));
}

TEST_F(NbdServerTest, OutlivesClientsThatVanishInTheMiddle) {
  for (int round = 0; round < 50; ++round) {
    Client client{socket_};
    client.negotiate();
    for (std::uint64_t i = 0; i < 30; ++i)
      client.request(Command::read, i, i * 65536, 65536);   // never reads the answers
    if (round % 2 == 0) {
      client.request(Command::write, 99, 0, 1 << 20);   // nor sends all of the payload
      client.send(std::vector<std::byte>(5000));
    }
  }
}

TEST_F(NbdServerTest, StopsWithClientsConnectedAndRequestsUnderWay) {
  Client idle{socket_};
  idle.negotiate();
  Client silent{socket_};   // not even negotiated
  Client busy{socket_};
  busy.negotiate();
  for (std::uint64_t i = 0; i < 60; ++i)
    busy.request(Command::read, i, i * 65536, 65536);
  // TearDown() stops the server.
}

TEST_F(NbdServerTest, RefusesASocketThatIsTakenOrNoSocket) {
  Server other{executor_, {}, [](std::string_view) {}};
  const auto taken = other.bind(socket_);
  ASSERT_FALSE(taken);
  EXPECT_NE(taken.error().find("another process listens"), std::string::npos);
  const auto file = other.bind(file_.path());
  ASSERT_FALSE(file);
  EXPECT_NE(file.error().find("no socket"), std::string::npos);
}

}   // namespace
}   // namespace real_io::nbd
