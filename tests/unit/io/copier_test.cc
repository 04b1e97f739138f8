#include "engine/io/copier.h"

#include <cstring>
#include <vector>

#include "tests/unit/io/tank.h"

namespace engine::io {
namespace {

std::byte pattern(std::uint64_t sector, std::size_t offset) {
  return static_cast<std::byte>(sector * 37 + offset + 1);
}

void fill_pattern(BlockDevice& device, std::uint64_t sector, std::uint64_t sectors) {
  AlignedBuffer buffer{sectors * kSectorSize};
  for (std::uint64_t i = 0; i < sectors; ++i) {
    for (std::size_t b = 0; b < kSectorSize; ++b)
      buffer.data()[i * kSectorSize + b] = pattern(sector + i, b);
  }
  Bio bio;
  bio.op = BioOp::write;
  bio.sector = Sector{sector};
  bio.sectors = sectors;
  bio.data = buffer.data();
  ASSERT_TRUE(submit_and_wait(device, bio));
}

// Whether sector `at` of `device` holds what `sector` of the source had.
bool holds_pattern(const sim::SimDevice& device, std::uint64_t at, std::uint64_t sector) {
  std::array<std::byte, kSectorSize> bytes{};
  device.peek(Sector{at}, bytes);
  for (std::size_t b = 0; b < kSectorSize; ++b) {
    if (bytes[b] != pattern(sector, b)) return false;
  }
  return true;
}

bool holds_zeroes(const sim::SimDevice& device, std::uint64_t at) {
  std::array<std::byte, kSectorSize> bytes{};
  device.peek(Sector{at}, bytes);
  return bytes == std::array<std::byte, kSectorSize>{};
}

// A job that is waited for.
struct Waited : CopyJob {
  Waited() {
    done = [](CopyJob& job, Errc how) {
      auto& self = static_cast<Waited&>(job);
      EXPECT_FALSE(may_block());
      ++self.times;
      self.result = how;
      self.ended.signal();
    };
  }
  Completion ended{"job"};
  Errc result = Errc::ok;
  int times = 0;
};

TEST(Copier, CopiesExactlyTheRangeUnderAllSchedules) {
  unit::for_seeds(500, [](sim::Execution& execution, std::uint64_t seed) {
    sim::SimDevice from{execution, "from", {.sectors = 256}};
    sim::SimDevice to{execution, "to", {.sectors = 256, .transfer_sectors_max = 5}};
    fill_pattern(from, 0, 200);
    Copier copier{"copier",
                  {.chunk_sectors = 8, .chunks_max = 1 + static_cast<std::uint32_t>(seed % 4)}};
    std::array<Waited, 4> jobs;
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      jobs[i].from = &from;
      jobs[i].from_sector = Sector{i * 50 + seed % 7};
      jobs[i].to = &to;
      jobs[i].to_sector = Sector{i * 60 + 3};
      jobs[i].sectors = i * 13 + 1;
      copier.start(jobs[i]);
    }
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      jobs[i].ended.wait();
      EXPECT_EQ(jobs[i].result, Errc::ok);
      EXPECT_EQ(jobs[i].times, 1);
      const std::uint64_t first = i * 60 + 3;
      for (std::uint64_t s = 0; s < jobs[i].sectors; ++s)
        EXPECT_TRUE(holds_pattern(to, first + s, i * 50 + seed % 7 + s));
      EXPECT_TRUE(holds_zeroes(to, first - 1));
      EXPECT_TRUE(holds_zeroes(to, first + jobs[i].sectors));
    }
    EXPECT_EQ(copier.in_use(), 0U);
  });
}

TEST(Copier, ReportsTheErrorOnceAndTouchesNothingAfterwards) {
  unit::for_seeds(1000, [](sim::Execution& execution, std::uint64_t seed) {
    sim::SimDevice from{execution, "from", {.sectors = 256}};
    sim::SimDevice to{execution, "to", {.sectors = 256}};
    auto& faulty = seed % 2 == 0 ? from : to;
    faulty.faults().rules.push_back(
        {.ops = seed % 2 == 0 ? sim::kReads : sim::kWrites, .nth = 1 + seed % 5});
    auto copier =
        std::make_unique<Copier>("copier", CopierOptions{.chunk_sectors = 8, .chunks_max = 3});
    Waited job;
    job.from = &from;
    job.to = &to;
    job.sectors = 64;
    copier->start(job);
    job.ended.wait();
    EXPECT_EQ(job.result, Errc::io_error);
    EXPECT_EQ(job.times, 1);
    EXPECT_EQ(copier->in_use(), 0U);
    copier.reset();
    EXPECT_EQ(from.in_flight() + to.in_flight(), 0U);
  });
}

TEST(Copier, ZeroesInOneTransferWhereTheDeviceCan) {
  unit::for_seeds(20, [](sim::Execution& execution, std::uint64_t) {
    sim::SimDevice to{execution, "to", {.sectors = 256}};
    fill_pattern(to, 0, 100);
    Copier copier{"copier", {.chunk_sectors = 8}};
    Waited job;
    job.to = &to;
    job.to_sector = Sector{10};
    job.sectors = 70;
    const std::uint32_t before = to.submissions();
    copier.start(job);
    job.ended.wait();
    EXPECT_EQ(to.submissions(), before + 1);
    EXPECT_EQ(job.result, Errc::ok);
    EXPECT_TRUE(holds_pattern(to, 9, 9));
    for (std::uint64_t s = 10; s < 80; ++s)
      EXPECT_TRUE(holds_zeroes(to, s));
    EXPECT_TRUE(holds_pattern(to, 80, 80));
  });
}

// Memory that ends every bio inside submit(), and knows no write_zeroes.
class PromptDevice final : public BlockDevice {
 public:
  explicit PromptDevice(std::uint64_t sectors)
      : BlockDevice{"prompt"}, bytes_(sectors * kSectorSize, std::byte{0xee}) {}
  [[nodiscard]] DeviceLimits limits() const noexcept override {
    return {.sectors = bytes_.size() / kSectorSize};
  }
  [[nodiscard]] std::byte at(std::size_t offset) const { return bytes_[offset]; }

 protected:
  void do_submit(Bio& bio) override {
    Errc status = Errc::ok;
    std::byte* const here = bytes_.data() + bio.sector.value() * kSectorSize;
    if (bio.op == BioOp::read)
      std::memcpy(bio.data, here, bio.size_bytes());
    else if (bio.op == BioOp::write)
      std::memcpy(here, bio.data, bio.size_bytes());
    else
      status = Errc::not_supported;
    complete(object(), bio, status);
  }

 private:
  std::vector<std::byte> bytes_;
};

TEST(Copier, WritesZeroesWhereTheDeviceCannot) {
  unit::for_seeds(5, [](sim::Execution&, std::uint64_t) {
    PromptDevice to{100};
    Copier copier{"copier", {.chunk_sectors = 8, .chunks_max = 2}};
    Waited job;
    job.to = &to;
    job.to_sector = Sector{1};
    job.sectors = 98;
    copier.start(job);
    job.ended.wait();
    EXPECT_EQ(job.result, Errc::ok);
    EXPECT_EQ(job.times, 1);
    EXPECT_EQ(to.at(511), std::byte{0xee});
    EXPECT_EQ(to.at(512), std::byte{0});
    EXPECT_EQ(to.at(99 * 512 - 1), std::byte{0});
    EXPECT_EQ(to.at(99 * 512), std::byte{0xee});
  });
}

TEST(Copier, NeedsNoStackForDevicesThatEndBiosAtOnce) {
  unit::for_seeds(2, [](sim::Execution&, std::uint64_t) {
    PromptDevice from{20'000};
    PromptDevice to{20'000};
    Copier copier{"copier", {.chunk_sectors = 1, .chunks_max = 2}};
    Waited job;
    job.from = &from;
    job.to = &to;
    job.sectors = 20'000;
    copier.start(job);
    job.ended.wait();
    EXPECT_EQ(job.result, Errc::ok);
  });
}

TEST(Copier, EndsAnEmptyJobAtOnce) {
  unit::for_seeds(1, [](sim::Execution&, std::uint64_t) {
    PromptDevice to{1};
    Copier copier{"copier"};
    Waited job;
    job.to = &to;
    copier.start(job);
    EXPECT_EQ(job.times, 1);
  });
}

// What comes from memory lies where it belongs, and the rest is the source's, or zeroes, whatever
// the ranges are and whatever the device can do.
TEST(Copier, PutsAnOverlayBetweenTheRest) {
  unit::for_seeds(300, [](sim::Execution& execution, std::uint64_t seed) {
    constexpr std::uint64_t kSectors = 40;
    sim::SimDevice from{execution, "from", {.sectors = 64}};
    sim::SimDevice disk{execution, "to", {.sectors = 64}};
    PromptDevice prompt{64};
    fill_pattern(from, 0, 64);
    fill_pattern(disk, 0, 64);
    BlockDevice& to = seed % 3 == 0 ? static_cast<BlockDevice&>(prompt) : disk;
    Copier copier{"copier",
                  {.chunk_sectors = 8, .chunks_max = 1 + static_cast<std::uint32_t>(seed % 3)}};
    AlignedBuffer bytes{kSectors * kSectorSize};
    for (std::uint64_t s = 0; s < kSectors; ++s)
      std::memset(bytes.data() + s * kSectorSize, static_cast<int>(0x80 + s), kSectorSize);
    std::array<Waited, 3> jobs;   // one after the other, so that buffers are used again
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      Waited& job = jobs[i];
      const std::uint64_t begin = (seed * 7 + i * 5) % (kSectors + 1);
      const std::uint64_t end = std::min(kSectors, begin + (seed + i * 11) % 20);
      const bool copies = (seed >> i) % 2 == 0;
      const bool data = (seed + i) % 5 != 0;
      job.from = copies ? &from : nullptr;
      job.from_sector = Sector{3};
      job.to = &to;
      job.to_sector = Sector{10};
      job.sectors = kSectors;
      job.overlay_begin = begin;
      job.overlay_end = end;
      job.overlay = data ? bytes.data() : nullptr;
      copier.start(job);
      job.ended.wait();
      EXPECT_EQ(job.result, Errc::ok);
      AlignedBuffer back{kSectors * kSectorSize};
      Bio read;
      read.sector = Sector{10};
      read.sectors = kSectors;
      read.data = back.data();
      ASSERT_TRUE(submit_and_wait(to, read));
      for (std::uint64_t s = 0; s < kSectors; ++s) {
        const std::byte got = back.data()[s * kSectorSize + 5];
        std::byte wanted = copies ? pattern(3 + s, 5) : std::byte{0};
        if (s >= begin && s < end) wanted = static_cast<std::byte>(data ? 0x80 + s - begin : 0);
        EXPECT_EQ(got, wanted) << "sector " << s << " with [" << begin << ", " << end << ")";
      }
    }
    EXPECT_EQ(copier.in_use(), 0U);
  });
}

// A small write into a new block costs one transfer, not three.
TEST(Copier, WritesAnOverlayAndWhatLiesAroundItAtOnce) {
  unit::for_seeds(5, [](sim::Execution& execution, std::uint64_t seed) {
    sim::SimDevice from{execution, "from", {.sectors = 64}};
    sim::SimDevice to{execution, "to", {.sectors = 64}};
    Copier copier{"copier", {.chunk_sectors = 64}};
    AlignedBuffer bytes{kSectorSize};
    Waited job;
    job.from = seed % 2 == 0 ? &from : nullptr;
    job.to = &to;
    job.sectors = 64;
    job.overlay_begin = 30;
    job.overlay_end = 31;
    job.overlay = bytes.data();
    copier.start(job);
    job.ended.wait();
    EXPECT_EQ(to.submissions(), 1U);
    EXPECT_EQ(from.submissions(), seed % 2 == 0 ? 1U : 0U);
  });
}

// The one who waits for a job may destroy the copier as soon as it has ended.
TEST(Copier, TouchesNothingOnceTheLastJobIsDone) {
  unit::for_seeds(2000, [](sim::Execution& execution, std::uint64_t) {
    sim::SimDevice to{execution, "to", {.sectors = 64}};
    auto copier = std::make_unique<Copier>("copier", CopierOptions{.chunk_sectors = 4});
    std::array<Waited, 3> jobs;
    for (Waited& job : jobs) {
      job.to = &to;
      job.sectors = 9;
      copier->start(job);
    }
    for (Waited& job : jobs)
      job.ended.wait();
    copier.reset();
  });
}

}   // namespace
}   // namespace engine::io
