// What reaches the disk, byte for byte, against a pool made by Linux.
#include <array>
#include <cstdint>

#include <gtest/gtest.h>

#include "engine/base/crc32c.h"
#include "tests/unit/thin/metadata_tank.h"

namespace engine::thin {
namespace {

std::uint32_t checksum(const sim::DiskImage& image, std::uint64_t block) {
  return view_as<Le32>(ConstBytes{pdata::block_bytes(image, block)}).value();
}

TEST(MetadataFormat, FreshPoolHasLinuxsBytes) {
  const auto image =
      with_metadata({.blocks = 2048}, small_options(), [](Metadata&) {});   // format alone
  // Checksums of the same pool made by the kernel, whose superblock padding was zeroed.
  constexpr std::array<std::uint32_t, 8> kKernels = {0x069ac8d3, 0x18e0660a, 0xc360e452,
                                                     0xa19f6375, 0x787f52c8, 0x41bfaa04,
                                                     0xcb3dda35, 0xb1c81346};
  for (std::uint64_t block = 0; block < kKernels.size(); ++block)
    EXPECT_EQ(checksum(*image, block), kKernels[block]) << "block " << block;
  for (std::uint64_t block = kKernels.size(); block < 2048; ++block)
    EXPECT_EQ(checksum(*image, block), 0U) << "block " << block;
  EXPECT_EQ(faults_of(*image), "");
}

TEST(MetadataFormat, LeavesOfAnExampleHaveLinuxsBytes) {
  const auto image = with_metadata({.blocks = 1024}, small_options(), example_history);
  EXPECT_EQ(faults_of(*image), "");
  const auto super_bytes = pdata::block_bytes(*image, 0);
  const auto& super = view_as<SuperblockDisk>(ConstBytes{super_bytes});
  EXPECT_EQ(super.time.value(), 1U);
  EXPECT_EQ(super.transaction_id.value(), 42U);
  EXPECT_EQ(super.metadata_blocks.value(), 1024U);
  EXPECT_EQ(super.metadata_map.root.nr_blocks.value(), 1024U);
  EXPECT_EQ(super.metadata_map.root.nr_allocated.value(), 11U);   // as the kernel needs
  EXPECT_EQ(super.data_map.root.nr_allocated.value(), 3U);

  // Blocks lie elsewhere than the kernel put them, so compare them without numbers.
  const auto root_of = [&](std::uint64_t block, std::size_t offset) {
    return view_as<Le64>(ConstBytes{pdata::block_bytes(*image, block)}.subspan(offset)).value();
  };
  const auto u32s = [&](std::uint64_t block, std::size_t offset) {
    return view_as<Le32>(ConstBytes{pdata::block_bytes(*image, block)}.subspan(offset)).value();
  };
  const std::uint64_t top = super.mapping_root.value();
  EXPECT_EQ(u32s(top, 16), 2U);
  EXPECT_EQ(root_of(top, 32), 7U);
  EXPECT_EQ(root_of(top, 40), 8U);
  const std::uint64_t seven = root_of(top, 2048);
  const std::uint64_t eight = root_of(top, 2056);
  EXPECT_EQ(root_of(seven, 32), 5U);
  EXPECT_EQ(root_of(seven, 40), 9U);
  EXPECT_EQ(root_of(seven, 2048), 0x02000001U);   // data 2, time 1
  EXPECT_EQ(root_of(seven, 2056), 0x01000000U);   // data 1, time 0
  EXPECT_EQ(root_of(eight, 2048), 0U);
  EXPECT_EQ(root_of(eight, 2056), 0x01000000U);
  const std::uint64_t details = super.details_root.value();
  EXPECT_EQ(u32s(details, 20), 126U);
  EXPECT_EQ(root_of(details, 1040), 2U);   // mapped blocks of 7
  EXPECT_EQ(u32s(details, 1056), 0U);      // created
  EXPECT_EQ(u32s(details, 1060), 1U);      // snapshotted
  EXPECT_EQ(root_of(details, 1064), 2U);
  EXPECT_EQ(u32s(details, 1080), 1U);
  EXPECT_EQ(u32s(details, 1084), 1U);
}

TEST(MetadataFormat, OpeningAndClosingLeavesTheDiskBitIdentical) {
  const auto image = with_metadata({.blocks = 1024}, small_options(), example_history);
  const auto after = with_metadata(image, [](Metadata& metadata) {
    OpenThin* const device = must(metadata.open_device(ThinId{8}));
    EXPECT_TRUE(must(metadata.lookup(*device, VirtBlock{5})).has_value());
    metadata.close_device(*device);
    must(metadata.commit());
    EXPECT_EQ(code_of(metadata.create_thin(ThinId{7})), Errc::exists);
    must(metadata.commit());
  });
  EXPECT_EQ(image->digest(), after->digest());
}

TEST(MetadataFormat, KeepsWhatItDoesNotUse) {
  sim::DiskImage image = *with_metadata({.blocks = 256}, small_options(), example_history);
  auto bytes = pdata::block_bytes(image, 0);
  auto& super = view_as<SuperblockDisk>(MutableBytes{bytes});
  super.uuid[3] = 77;
  super.version = 1;
  super.compat_flags = 5;
  super.data_map.padding[9] = 9;   // Linux leaves garbage here
  pdata::kSuperblockValidator.prepare(MetaBlock{0}, bytes);
  image.write(Sector{0}, bytes);
  const auto after = with_metadata(std::make_shared<sim::DiskImage>(image), [](Metadata& metadata) {
    must(metadata.create_thin(ThinId{1}));
  });
  const auto now_bytes = pdata::block_bytes(*after, 0);
  const auto& now = view_as<SuperblockDisk>(ConstBytes{now_bytes});
  EXPECT_EQ(now.uuid[3], 77);
  EXPECT_EQ(now.version.value(), 1U);
  EXPECT_EQ(now.compat_flags.value(), 5U);
  EXPECT_EQ(now.data_map.padding[9], 0);
}

}   // namespace
}   // namespace engine::thin
