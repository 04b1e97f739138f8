// What an overlay keeps from the device below. That it is a device: tests/conformance/.
#include <algorithm>
#include <vector>

#include "engine/env/buffer.h"
#include "real-io/overlay_device.h"
#include "real-io/uring_device.h"
#include "tests/unit/real_io/fixture.h"

namespace real_io {
namespace {

using engine::BioOp;
using Writes = OverlayDevice::Writes;

constexpr std::uint64_t kSectors = 256;

class OverlayTest : public RealIoTest {
 protected:
  OverlayTest() {
    executor_.run([&] { fill(below(), 0, kSectors, 'b'); });
  }

  [[nodiscard]] engine::BlockDevice& below() { return *device_; }
  static engine::Result<void> transfer(engine::BlockDevice& device, BioOp op, std::uint64_t sector,
                                       std::uint64_t sectors, std::byte* data = nullptr) {
    engine::Bio bio;
    bio.op = op;
    bio.sector = engine::Sector{sector};
    bio.sectors = sectors;
    bio.data = data;
    return engine::submit_and_wait(device, bio);
  }
  static void fill(engine::BlockDevice& device, std::uint64_t sector, std::uint64_t sectors,
                   char with) {
    engine::AlignedBuffer buffer{sectors * engine::kSectorSize};
    std::fill_n(buffer.data(), buffer.size(), static_cast<std::byte>(with));
    EXPECT_TRUE(transfer(device, BioOp::write, sector, sectors, buffer.data()));
  }
  // A letter for each sector, '0' for zeroes, '?' where the bytes of one differ.
  static std::string contents(engine::BlockDevice& device, std::uint64_t sector,
                              std::uint64_t sectors) {
    engine::AlignedBuffer buffer{sectors * engine::kSectorSize};
    std::fill_n(buffer.data(), buffer.size(), std::byte{'g'});
    EXPECT_TRUE(transfer(device, BioOp::read, sector, sectors, buffer.data()));
    std::string letters;
    for (std::uint64_t i = 0; i < sectors; ++i) {
      const std::byte* const begin = buffer.data() + i * engine::kSectorSize;
      const bool even = std::all_of(begin, begin + engine::kSectorSize,
                                    [&](std::byte byte) { return byte == *begin; });
      letters += !even ? '?' : *begin == std::byte{0} ? '0' : static_cast<char>(*begin);
    }
    return letters;
  }

  const TemporaryFile file_{kSectors * engine::kSectorSize};
  UringExecutor executor_{UringExecutor::Options{.reactors = 2, .reactor = {}}};
  const std::unique_ptr<UringDevice> device_ = UringDevice::open(executor_, file_.path()).value();
};

TEST_F(OverlayTest, ShowsWhatWasWrittenAndLeavesTheDeviceBelowAsItWas) {
  executor_.run([&] {
    const std::string before = contents(below(), 0, kSectors);
    OverlayDevice overlay{below(), Writes::keep};
    EXPECT_EQ(overlay.limits().sectors, kSectors);
    fill(overlay, 3, 1, 'x');
    fill(overlay, 6, 4, 'y');   // over the border of two pages
    ASSERT_TRUE(transfer(overlay, BioOp::write_zeroes, 12, 2));
    ASSERT_TRUE(transfer(overlay, BioOp::flush, 0, 0));
    EXPECT_EQ(contents(overlay, 0, 16), "bbbxbbyyyybb00bb");
    EXPECT_EQ(contents(overlay, 6, 4), "yyyy");
    EXPECT_EQ(contents(overlay, kSectors - 1, 1), "b");
    EXPECT_EQ(contents(below(), 0, kSectors), before);
    ASSERT_TRUE(transfer(overlay, BioOp::discard, 0, kSectors));
    EXPECT_EQ(contents(below(), 0, kSectors), before);
  });
}

TEST_F(OverlayTest, ReachesBeyondTheDeviceBelow) {
  executor_.run([&] {
    OverlayDevice overlay{below(), Writes::keep, kSectors + 16};
    EXPECT_EQ(overlay.limits().sectors, kSectors + 16);
    fill(overlay, kSectors + 2, 1, 'x');
    EXPECT_EQ(contents(overlay, kSectors - 2, 6), "bb00x0");
    EXPECT_EQ(contents(overlay, kSectors + 1, 3), "0x0");
    fill(overlay, kSectors - 1, 2, 'y');
    EXPECT_EQ(contents(overlay, kSectors - 2, 4), "byy0");
    const OverlayDevice shorter{below(), Writes::keep, kSectors - 16};
    EXPECT_EQ(shorter.limits().sectors, kSectors);
  });
}

TEST_F(OverlayTest, ForgetsWhatItIsToDrop) {
  executor_.run([&] {
    OverlayDevice overlay{below(), Writes::drop};
    fill(overlay, 0, 16, 'x');
    ASSERT_TRUE(transfer(overlay, BioOp::write_zeroes, 16, 16));
    ASSERT_TRUE(transfer(overlay, BioOp::discard, 32, 16));
    EXPECT_EQ(contents(overlay, 0, 48), std::string(48, 'b'));
    EXPECT_EQ(contents(below(), 0, 48), std::string(48, 'b'));
  });
}

}   // namespace
}   // namespace real_io
