// The io_uring device over real files.
#include <cstring>

#include <sys/stat.h>

#include "engine/env/buffer.h"
#include "real-io/uring_device.h"
#include "tests/unit/real_io/fixture.h"

namespace real_io {
namespace {

using engine::AlignedBuffer;
using engine::Bio;
using engine::BioOp;
using engine::Errc;
using engine::Sector;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

class UringDeviceTest : public RealIoTest {
 protected:
  UringDeviceTest() : executor_{UringExecutor::Options{.reactors = 2, .reactor = {}}} {}

  static engine::Result<void> transfer(UringDevice& device, BioOp op, std::uint64_t sector,
                                       std::uint64_t sectors, std::byte* data = nullptr,
                                       bool fua = false) {
    Bio bio;
    bio.op = op;
    bio.fua = fua;
    bio.sector = Sector{sector};
    bio.sectors = sectors;
    bio.data = data;
    return engine::submit_and_wait(device, bio);
  }
  std::unique_ptr<UringDevice> open(const std::string& path) {
    auto device = UringDevice::open(executor_, path);
    EXPECT_TRUE(device.has_value()) << device.error();
    return device ? std::move(*device) : nullptr;
  }

  UringExecutor executor_;
};

TEST_F(UringDeviceTest, ReadsBackWhatItWroteFromEveryReactor) {
  const TemporaryFile file{8 * kMiB};
  const auto device = open(file.path());
  EXPECT_EQ(device->limits().sectors, 8 * kMiB / 512);
  for (std::uint32_t reactor = 0; reactor < 2; ++reactor) {
    executor_.run(
        [&] {
          AlignedBuffer out{kMiB};
          std::memset(out.data(), static_cast<int>('a' + reactor), out.size());
          ASSERT_TRUE(transfer(*device, BioOp::write, 2048, 2048, out.data(), reactor == 1));
          AlignedBuffer in{kMiB};
          ASSERT_TRUE(transfer(*device, BioOp::read, 2048, 2048, in.data()));
          EXPECT_EQ(std::memcmp(in.data(), out.data(), in.size()), 0);
          ASSERT_TRUE(transfer(*device, BioOp::flush, 0, 0));
        },
        reactor);
  }
}

TEST_F(UringDeviceTest, DiscardGivesTheSpaceBackAndReadsAsZeroes) {
  const TemporaryFile file{8 * kMiB};
  const auto device = open(file.path());
  if (device->limits().discard_sectors_max == 0) GTEST_SKIP() << "no hole punching here";
  executor_.run([&] {
    AlignedBuffer data{4 * kMiB};
    std::memset(data.data(), 'x', data.size());
    ASSERT_TRUE(transfer(*device, BioOp::write, 0, 8192, data.data(), true));
    struct stat before{};
    ASSERT_EQ(stat(file.path().c_str(), &before), 0);
    ASSERT_TRUE(transfer(*device, BioOp::discard, 2048, 4096));
    struct stat after{};
    ASSERT_EQ(stat(file.path().c_str(), &after), 0);
    EXPECT_LE(after.st_blocks, before.st_blocks - 4096);
    EXPECT_EQ(after.st_size, before.st_size);
    ASSERT_TRUE(transfer(*device, BioOp::read, 0, 8192, data.data()));
    EXPECT_EQ(data.data()[2048 * 512 - 1], std::byte{'x'});
    EXPECT_EQ(data.data()[2048 * 512], std::byte{0});
    EXPECT_EQ(data.data()[6144 * 512 - 1], std::byte{0});
    EXPECT_EQ(data.data()[6144 * 512], std::byte{'x'});
  });
}

TEST_F(UringDeviceTest, WritesZeroesShortAndLong) {
  const TemporaryFile file{8 * kMiB};
  const auto device = open(file.path());
  executor_.run([&] {
    for (const std::uint64_t sectors :
         {std::uint64_t{9}, std::uint64_t{513}, std::uint64_t{6001}}) {
      AlignedBuffer data{4 * kMiB};
      std::memset(data.data(), 'x', data.size());
      ASSERT_TRUE(transfer(*device, BioOp::write, 0, 8192, data.data()));
      ASSERT_TRUE(transfer(*device, BioOp::write_zeroes, 3, sectors, nullptr, true));
      ASSERT_TRUE(transfer(*device, BioOp::read, 0, 8192, data.data()));
      for (std::uint64_t i = 0; i < 8192 * 512; ++i) {
        const bool zero = i >= 3 * 512 && i < (3 + sectors) * 512;
        ASSERT_EQ(data.data()[i], zero ? std::byte{0} : std::byte{'x'}) << sectors << " " << i;
      }
    }
  });
}

TEST_F(UringDeviceTest, KeepsMoreInFlightThanTheRingHolds) {
  const TemporaryFile file{8 * kMiB};
  const auto device = open(file.path());
  executor_.run([&] {
    constexpr std::uint32_t kBios = 3000;
    engine::Completion ended{"ended", kBios};
    std::vector<Bio> bios(kBios);
    AlignedBuffer data{std::size_t{kBios} * 512};
    for (std::uint32_t i = 0; i < kBios; ++i) {
      data.data()[i * 512] = static_cast<std::byte>(i);
      bios[i].op = BioOp::write;
      bios[i].sector = Sector{i};
      bios[i].sectors = 1;
      bios[i].data = data.data() + std::size_t{i} * 512;
      bios[i].owner = &ended;
      bios[i].end_io = [](Bio& bio) { static_cast<engine::Completion*>(bio.owner)->signal(); };
      device->submit(bios[i]);
    }
    ended.wait();
    AlignedBuffer back{data.size()};
    for (const Bio& bio : bios)
      EXPECT_EQ(bio.status, Errc::ok);
    ASSERT_TRUE(transfer(*device, BioOp::read, 0, kBios, back.data()));
    EXPECT_EQ(std::memcmp(back.data(), data.data(), data.size()), 0);
  });
}

TEST_F(UringDeviceTest, ReportsAReadPastAFileThatShrank) {
  const TemporaryFile file{8 * kMiB};
  const auto device = open(file.path());
  ASSERT_EQ(truncate(file.path().c_str(), 4 * kMiB), 0);
  executor_.run([&] {
    AlignedBuffer data{kMiB};
    const auto result = transfer(*device, BioOp::read, 7168, 2048, data.data());
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::io_error);
  });
}

TEST_F(UringDeviceTest, RefusesWithOneLineThatNamesTheFile) {
  const TemporaryFile empty{100};
  const TemporaryFile taken{kMiB};
  const auto device = open(taken.path());
  const struct {
    std::string path;
    const char* reason;
  } cases[] = {{"./no_such_file", "cannot open: No such file or directory"},
               {".", "neither a regular file nor a block device"},
               {"/dev/null", "neither a regular file nor a block device"},
               {empty.path(), "not even one sector"},
               {taken.path(), "in use"}};
  for (const auto& wrong : cases) {
    const auto refused = UringDevice::open(executor_, wrong.path);
    ASSERT_FALSE(refused.has_value()) << wrong.path;
    EXPECT_EQ(refused.error().find(wrong.path + ": "), 0U) << refused.error();
    EXPECT_NE(refused.error().find(wrong.reason), std::string::npos) << refused.error();
    EXPECT_EQ(refused.error().find('\n'), std::string::npos);
  }
}

TEST_F(UringDeviceTest, CanBeOpenedAgainOnceDestroyed) {
  const TemporaryFile file{kMiB};
  for (int i = 0; i < 200; ++i) {
    const auto device = open(file.path());
    ASSERT_NE(device, nullptr);
    executor_.run([&] { ASSERT_TRUE(transfer(*device, BioOp::flush, 0, 0)); });
  }
}

}   // namespace
}   // namespace real_io
