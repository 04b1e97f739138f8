// Every image that a power cut can leave: exactly those, each once; or those that can be told apart
// by what is looked at.
#include "sim/undecided_pages.h"

#include <array>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "sim/strategy_bounded.h"
#include "tests/unit/sim/sim_device_requests.h"

namespace sim {
namespace {

void write(SimDevice& disk, std::uint64_t sector, const std::string& letters) {
  Sent bio{sector, letters};
  bio.submit(disk);
  bio.wait();
}

void flush(SimDevice& disk) {
  EXPECT_EQ(do_io(disk, BioOp::flush, 0, 0), Errc::ok);
}

struct LeftOver {
  std::multiset<std::string> images;
  std::set<std::uint64_t> digests;   // of them
  double alike = 0;                  // that all these stand for
};

using Cut = std::function<void(SimDevice&)>;
using Look = std::function<std::string(const DiskImage&)>;

// What `look` sees after `cut`, in all executions.
LeftOver all_left(const SimDeviceOptions& options, const Cut& cut, const Look& look) {
  LeftOver left;
  Bounded search{{.schedules = false}};
  Execution execution;
  do {
    execution.reset({.strategy = &search});
    const Outcome& outcome = execution.run([&] {
      SimDevice disk{execution, "disk", options};
      cut(disk);
      const DiskImageRef image = disk.crash_image();
      left.images.insert(look(*image));
      left.digests.insert(image->digest());
      left.alike += image->alike();
    });
    EXPECT_FALSE(outcome.finding);
  } while (search.next());
  EXPECT_TRUE(search.left_out().empty()) << search.left_out().begin()->first;
  return left;
}

// Writes "ab" and flushes, writes `later`, has `under_way` in flight, cuts.
LeftOver left_by_a_cut(const std::string& later, std::uint64_t at, const std::string& under_way,
                       std::uint32_t atomic_sectors = 1) {
  const SimDeviceOptions options{
      .sectors = 64, .atomic_sectors = atomic_sectors, .cut_leaves = CutLeaves::each_image};
  const auto cut = [&](SimDevice& disk) {
    write(disk, 0, "ab");
    flush(disk);
    write(disk, 0, later);
    Sent last{at, under_way};
    last.submit(disk);
    disk.power_cut();
    last.wait();
  };
  return all_left(options, cut, [](const DiskImage& image) { return letters_of(image, 0, 4); });
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
  const LeftOver left = left_by_a_cut("AB", 1, "XY");
  EXPECT_EQ(left.images, expected);
  EXPECT_EQ(left.alike, 12);
}

TEST(CrashImages, WhatWouldBeTheSameIsOneImage) {
  EXPECT_EQ(left_by_a_cut("aB", 1, "B.").images.size(), 4U);
}

TEST(CrashImages, SectorsThatGoTogetherStayTogether) {
  EXPECT_EQ(left_by_a_cut("AB", 2, "XY", 2).images,
            (std::multiset<std::string>{"ab..", "AB..", "abXY", "ABXY"}));
}

// Leaves a page of three loose sectors, and one of two, the first of which has three contents.
void cut_two_pages(SimDevice& disk) {
  write(disk, 0, "abc");
  write(disk, kPageSectors, "de");
  flush(disk);
  write(disk, 0, "ABC");
  write(disk, kPageSectors, "DE");
  write(disk, kPageSectors, "X");
  disk.power_cut();
}

std::string both_pages(const DiskImage& image) {
  return letters_of(image, 0, 3) + letters_of(image, kPageSectors, 2);
}

SimDeviceOptions leaving(CutLeaves leaves) {
  return {.sectors = 64, .cut_leaves = leaves};
}

TEST(CrashImages, WhatIsLookedAtComesInAllItsKinds) {
  const LeftOver image_by_image =
      all_left(leaving(CutLeaves::each_image), cut_two_pages, both_pages);
  const LeftOver by_reading = all_left(leaving(CutLeaves::each_reading), cut_two_pages, both_pages);
  EXPECT_EQ(image_by_image.images.size(), 8U * 6U);
  EXPECT_EQ(by_reading.images, image_by_image.images);
  EXPECT_EQ(by_reading.digests, image_by_image.digests);
  EXPECT_EQ(by_reading.alike, 8 * 6);
}

TEST(CrashImages, WhatNobodyLooksAtMakesNoMore) {
  const LeftOver left = all_left(leaving(CutLeaves::each_reading), cut_two_pages,
                                 [](const DiskImage& image) { return letters_of(image, 0, 3); });
  EXPECT_EQ(left.images.size(), 8U);
  EXPECT_EQ(left.alike, 8 * 6);
}

// What is looked at may depend on what was seen.
TEST(CrashImages, WhereToLookMayDependOnWhatWasSeen) {
  const LeftOver left =
      all_left(leaving(CutLeaves::each_reading), cut_two_pages, [](const DiskImage& image) {
        const std::string first = letters_of(image, 0, 1);
        return first == "a" ? first : both_pages(image);
      });
  EXPECT_EQ(left.images.size(), 4U + 4U * 6U);
  EXPECT_EQ(left.alike, 8 * 6);
}

TEST(CrashImages, OfDataEachSectorHasEachOfItsContents) {
  const LeftOver left = all_left(leaving(CutLeaves::each_content), cut_two_pages, both_pages);
  EXPECT_EQ(left.images, (std::multiset<std::string>{"ABCXE", "abcde", "abcDe"}));
  EXPECT_EQ(left.alike, 8 * 6);
}

TEST(CrashImages, CopiesAgreeAndWhatIsOverwrittenIsKnown) {
  const LeftOver left =
      all_left(leaving(CutLeaves::each_reading), cut_two_pages, [](const DiskImage& image) {
        DiskImage copy = image;
        DiskImage another = image;
        another.write(Sector{0}, std::array<std::byte, kSectorSize>{});
        std::string seen = letters_of(copy, 0, 3);
        EXPECT_EQ(letters_of(image, 0, 3), seen);
        EXPECT_EQ(letters_of(another, 1, 2), seen.substr(1));
        EXPECT_EQ(letters_of(another, 0, 1), ".");
        DiskImage shorter = image;
        shorter.resize(kPageSectors + 1);
        seen += letters_of(shorter, kPageSectors, 1);
        EXPECT_EQ(letters_of(image, kPageSectors, 1), seen.substr(3));
        return seen;
      });
  EXPECT_EQ(left.images.size(), 8U * 6U);
  EXPECT_EQ(left.alike, 8 * 6);
}

// A device that boots from such an image: what it reads, and what it writes over.
TEST(CrashImages, ADeviceMayBootFromIt) {
  Bounded search{{.schedules = false}};
  Execution execution;
  std::multiset<std::string> seen;
  do {
    execution.reset({.strategy = &search});
    const Outcome& outcome = execution.run([&] {
      DiskImageRef image;
      {
        SimDevice disk{execution, "disk", leaving(CutLeaves::each_reading)};
        cut_two_pages(disk);
        image = disk.crash_image();
      }
      SimDevice disk{execution, "disk", {.image = std::move(image)}};
      write(disk, kPageSectors, "de______");   // the whole page
      seen.insert(letters_of(*disk.snapshot(), 0, 3));
      EXPECT_EQ(letters_of(*disk.snapshot(), kPageSectors, 3), "de_");
    });
    EXPECT_FALSE(outcome.finding);
  } while (search.next());
  EXPECT_EQ(std::set<std::string>(seen.begin(), seen.end()).size(), 8U);
}

}   // namespace
}   // namespace sim
