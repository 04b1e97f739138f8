// Every image that a power cut can leave: exactly those, each once, and said so where there are too
// many.
#include "sim/crash_images.h"

#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/env/buffer.h"
#include "engine/fiber/completion.h"
#include "sim/sim_device.h"
#include "sim/strategy_bounded.h"

namespace sim {
namespace {

using engine::Bio;
using engine::BioOp;
using engine::kSectorSize;
using engine::Sector;

// A write of single sectors, each with a letter.
class Write {
 public:
  Write(std::uint64_t sector, const std::string& letters) : buffer_{letters.size() * kSectorSize} {
    for (std::size_t i = 0; i < letters.size(); ++i)
      std::memset(buffer_.data() + i * kSectorSize, letters[i], kSectorSize);
    bio_.op = BioOp::write;
    bio_.sector = Sector{sector};
    bio_.sectors = letters.size();
    bio_.data = buffer_.data();
    bio_.owner = &ended_;
    bio_.end_io = [](Bio& bio) { static_cast<engine::Completion*>(bio.owner)->signal(); };
  }
  void submit(SimDevice& disk) { disk.submit(bio_); }
  void wait() { ended_.wait(); }

 private:
  engine::AlignedBuffer buffer_;
  Bio bio_;
  engine::Completion ended_{"write"};
};

void write(SimDevice& disk, std::uint64_t sector, const std::string& letters) {
  Write bio{sector, letters};
  bio.submit(disk);
  bio.wait();
}

void flush(SimDevice& disk) {
  Bio bio;
  bio.op = BioOp::flush;
  EXPECT_TRUE(submit_and_wait(disk, bio));
}

// What the first sectors hold, a letter each; '.' for zeroes.
std::string letters_of(const DiskImage& image, std::uint64_t sectors) {
  std::string letters;
  for (std::uint64_t s = 0; s < sectors; ++s) {
    std::array<std::byte, kSectorSize> bytes;
    image.read(Sector{s}, bytes);
    letters += bytes[0] == std::byte{0} ? '.' : static_cast<char>(bytes[0]);
  }
  return letters;
}

struct Left {
  std::multiset<std::string> images;
  std::map<std::string, std::uint64_t> left_out;   // choices, with how often
};

// Writes "ab" and flushes, writes `later`, has `under_way` in flight, cuts.
Left left_by_a_cut(const std::string& later, std::uint64_t at, const std::string& under_way,
                   std::uint32_t atomic_sectors = 1) {
  Left left;
  Bounded search{{.schedules = false}};
  Execution execution;
  do {
    execution.reset({.strategy = &search});
    const Outcome& outcome = execution.run([&] {
      SimDevice disk{execution,
                     "disk",
                     {.sectors = 64, .atomic_sectors = atomic_sectors, .cuts_by_sector = true}};
      write(disk, 0, "ab");
      flush(disk);
      write(disk, 0, later);
      Write last{at, under_way};
      last.submit(disk);
      disk.power_cut();
      left.images.insert(letters_of(*disk.crash_image(), 4));
      last.wait();
    });
    EXPECT_FALSE(outcome.finding);
  } while (search.next());
  left.left_out = search.left_out();
  return left;
}

TEST(CrashImages, EachLooseSectorIsKeptOrLostAndWhatIsUnderWayIsTorn) {
  // Sector 0: a or A. 1: b, B or X. 2: nothing or Y. 3: never written.
  std::multiset<std::string> expected;
  for (const char* const first : {"a", "A"}) {
    for (const char* const second : {"b", "B", "X"}) {
      for (const char* const third : {".", "Y"})
        expected.insert(std::string{first} + second + third + ".");
    }
  }
  const Left left = left_by_a_cut("AB", 1, "XY");
  EXPECT_EQ(left.images, expected);
  EXPECT_TRUE(left.left_out.empty()) << left.left_out.begin()->first;
}

TEST(CrashImages, WhatWouldBeTheSameIsOneImage) {
  EXPECT_EQ(left_by_a_cut("aB", 1, "B.").images.size(), 4U);
}

TEST(CrashImages, SectorsThatGoTogetherStayTogether) {
  EXPECT_EQ(left_by_a_cut("AB", 2, "XY", 2).images,
            (std::multiset<std::string>{"ab..", "AB..", "abXY", "ABXY"}));
}

TEST(CrashImages, OfTooManyItSaysThatTheyAreNotAll) {
  const Left left = left_by_a_cut("ABCDEFGHIJKLMNOP", 1, "XY");
  EXPECT_FALSE(left.left_out.empty());
  const std::set<std::string> different{left.images.begin(), left.images.end()};
  EXPECT_TRUE(different.contains("ABCD"));
  EXPECT_TRUE(different.contains("ab.."));
  EXPECT_TRUE(different.contains("aBCD"));
  EXPECT_TRUE(different.contains("Ab.."));
}

}   // namespace
}   // namespace sim
