// Devices that cannot be served: refused at open, in words, with not a byte changed.
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include <gtest/gtest.h>

#include "engine/base/bytes.h"
#include "engine/pdata/btree_format.h"
#include "tests/unit/thin/metadata_tank.h"

namespace engine::thin {
namespace {

// Opens; nullopt when that went well. What is refused is as it was.
std::optional<Error> refusal(const sim::DiskImageRef& image, MetadataOptions options) {
  std::optional<Error> error;
  const auto after = in_tank({.image = image}, [&](sim::SimDevice& device) {
    const auto opened = Metadata::open(device, options);
    if (!opened) {
      error = opened.error();
      return;
    }
    must((*opened)->close());
  });
  if (error) {
    EXPECT_EQ(after->digest(), image->digest()) << error->what;
  }
  return error;
}

sim::DiskImageRef blank(std::uint64_t blocks) {
  return std::make_shared<sim::DiskImage>(blocks * kMetaBlockSectors);
}

TEST(MetadataRefused, ADeviceOfFewerThanEighteenBlocks) {
  for (const std::uint64_t blocks : {1U, 2U, 8U, 17U}) {
    const auto error = refusal(blank(blocks), small_options());
    ASSERT_TRUE(error) << blocks;
    EXPECT_EQ(error->code, Errc::invalid);
    EXPECT_NE(std::string_view{error->what}.find("too small"), std::string_view::npos);
  }
  EXPECT_FALSE(refusal(blank(18), small_options()));
}

TEST(MetadataRefused, AnotherBlockSizeNamesTheRecordedOne) {
  const auto image = with_metadata({.blocks = 64}, small_options(), example_history);
  const auto error = refusal(image, {.data_block_sectors = 256});
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, Errc::invalid);
  EXPECT_EQ(error->where, kTestBlockSectors);
  EXPECT_STREQ(error->what, "not the recorded data block size");
}

// A root that is no node of a tree.
TEST(MetadataRefused, RootsThatCannotBeRead) {
  const auto image = with_metadata({.blocks = 64}, small_options(), example_history);
  const auto superblock = pdata::block_bytes(*image, 0);
  const auto& disk = view_as<SuperblockDisk>(ConstBytes{superblock});
  for (const std::uint64_t root : {disk.mapping_root.value(), disk.details_root.value()}) {
    ASSERT_NE(root, 0U);
    for (const std::size_t offset : {0U, 8U, 16U, 200U}) {
      auto torn = std::make_shared<sim::DiskImage>(*image);
      poke(*torn, root, offset, [](std::byte& b) { b ^= std::byte{0x40}; });
      const auto error = refusal(torn, small_options());
      ASSERT_TRUE(error) << "block " << root << ", offset " << offset;
      EXPECT_EQ(error->code, Errc::corrupt);
    }
    // Sealed, and of a shape that no tree has.
    auto odd = std::make_shared<sim::DiskImage>(*image);
    auto bytes = pdata::block_bytes(*odd, root);
    view_as<Le32>(MutableBytes{bytes}.subspan(16)) = 0xffffffffU;   // entries
    pdata::kNodeValidator.prepare(MetaBlock{root}, bytes);
    odd->write(first_sector(MetaBlock{root}), bytes);
    EXPECT_TRUE(refusal(odd, small_options())) << "block " << root;
  }
}

TEST(MetadataRefused, RootsOutsideOfTheDevice) {
  const auto image = with_metadata({.blocks = 64}, small_options(), example_history);
  for (const bool mapping : {true, false}) {
    auto changed = std::make_shared<sim::DiskImage>(*image);
    auto bytes = pdata::block_bytes(*image, 0);
    auto& disk = view_as<SuperblockDisk>(MutableBytes{bytes});
    (mapping ? disk.mapping_root : disk.details_root) = 1'000'000;
    pdata::kSuperblockValidator.prepare(MetaBlock{0}, bytes);
    changed->write(Sector{0}, bytes);
    const auto error = refusal(changed, small_options());
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code, Errc::corrupt);
  }
}

}   // namespace
}   // namespace engine::thin
