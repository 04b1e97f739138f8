// What each call promises, one promise a test.
#include "engine/thin/metadata.h"

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/thin/metadata_tank.h"

namespace engine::thin {
namespace {

Errc open_error(const sim::DiskImageRef& image, const MetadataOptions& options) {
  Errc code = Errc::ok;
  in_tank({.image = image}, [&](sim::SimDevice& device) {
    auto metadata = Metadata::open(device, options);
    code = code_of(metadata);
  });
  return code;
}

sim::DiskImageRef with_superblock(const sim::DiskImageRef& image,
                                  const std::function<void(SuperblockDisk&)>& change) {
  auto changed = std::make_shared<sim::DiskImage>(*image);
  auto bytes = pdata::block_bytes(*image, 0);
  change(view_as<SuperblockDisk>(MutableBytes{bytes}));
  pdata::kSuperblockValidator.prepare(MetaBlock{0}, bytes);
  changed->write(Sector{0}, bytes);
  return changed;
}

TEST(Metadata, OpenRefusesWhatItMustNotTouch) {
  const sim::DiskImageRef image = example();
  const sim::DiskImageRef blank = std::make_shared<sim::DiskImage>(256 * kMetaBlockSectors);
  const MetadataOptions good = small_options();
  EXPECT_EQ(open_error(image, good), Errc::ok);
  for (const std::uint32_t sectors : {0U, 64U, 129U, 192U, 2097280U})
    EXPECT_EQ(open_error(image, {.data_block_sectors = sectors}), Errc::invalid) << sectors;
  EXPECT_EQ(open_error(image, {.data_block_sectors = 256}), Errc::invalid);
  EXPECT_EQ(open_error(blank, {.data_block_sectors = 128, .read_only = true}), Errc::not_permitted);
  EXPECT_EQ(open_error(blank, {.data_block_sectors = 128, .if_blank = IfBlank::refuse}),
            Errc::not_permitted);
  const auto broken = [&](const std::function<void(SuperblockDisk&)>& change,
                          const MetadataOptions& options) {
    return open_error(with_superblock(image, change), options);
  };
  EXPECT_EQ(broken([](auto& s) { s.magic = 1; }, good), Errc::corrupt);
  EXPECT_EQ(broken([](auto& s) { s.version = 3; }, good), Errc::invalid);
  EXPECT_EQ(broken([](auto& s) { s.version = 1; }, good), Errc::ok);
  EXPECT_EQ(broken([](auto& s) { s.incompat_flags = 2; }, good), Errc::invalid);
  EXPECT_EQ(broken([](auto& s) { s.compat_ro_flags = 2; }, good), Errc::invalid);
  EXPECT_EQ(broken([](auto& s) { s.compat_ro_flags = 2; },
                   {.data_block_sectors = 128, .read_only = true}),
            Errc::ok);
  EXPECT_EQ(broken([](auto& s) { s.metadata_block_sectors = 16; }, good), Errc::corrupt);
  EXPECT_EQ(broken([](auto& s) { s.time = 1U << 24; }, good), Errc::corrupt);
  EXPECT_EQ(broken([](auto& s) { s.metadata_map.root.nr_blocks = 257; }, good), Errc::invalid);
  auto torn = std::make_shared<sim::DiskImage>(*image);
  poke(*torn, 0, 48, [](std::byte& b) { b ^= std::byte{1}; });
  EXPECT_EQ(open_error(torn, good), Errc::corrupt);
}

TEST(Metadata, ReadOnlyRefusesChangesAndWritesNothing) {
  const sim::DiskImageRef image = example();
  MetadataOptions options = small_options();
  options.read_only = true;
  const auto after = with_metadata({.image = image}, options, [](Metadata& metadata) {
    OpenThin* const device = must(metadata.open_device(ThinId{7}));
    EXPECT_EQ(must(metadata.lookup(*device, VirtBlock{5})), (Mapping{DataBlock{2}, false}));
    EXPECT_EQ(must(metadata.lookup(*device, VirtBlock{9})), (Mapping{DataBlock{1}, true}));
    EXPECT_EQ(must(metadata.lookup(*device, VirtBlock{6})), std::nullopt);
    EXPECT_EQ(code_of(metadata.insert(*device, VirtBlock{5}, DataBlock{0})), Errc::read_only);
    EXPECT_EQ(code_of(metadata.create_thin(ThinId{1})), Errc::read_only);
    EXPECT_EQ(code_of(metadata.alloc_data_block()), Errc::read_only);
    EXPECT_EQ(code_of(metadata.reserve_metadata_snapshot()), Errc::read_only);
    EXPECT_EQ(code_of(metadata.resize_data(300)), Errc::read_only);
    must(metadata.resize_data(200));
    must(metadata.set_needs_check());   // remembered, not written
    EXPECT_TRUE(must(metadata.needs_check()));
    must(metadata.commit());
    metadata.close_device(*device);
  });
  EXPECT_EQ(image->digest(), after->digest());
}

TEST(Metadata, DevicesAreCountedAsOpened) {
  with_metadata(example(), [](Metadata& metadata) {
    EXPECT_EQ(code_of(metadata.open_device(ThinId{1})), Errc::not_found);
    OpenThin* const device = must(metadata.open_device(ThinId{7}));
    EXPECT_EQ(must(metadata.open_device(ThinId{7})), device);
    EXPECT_EQ(code_of(metadata.delete_device(ThinId{7})), Errc::busy);
    metadata.close_device(*device);
    EXPECT_EQ(code_of(metadata.close()), Errc::busy);
    EXPECT_EQ(code_of(metadata.delete_device(ThinId{7})), Errc::busy);
    metadata.close_device(*device);
    must(metadata.delete_device(ThinId{7}));
    EXPECT_EQ(code_of(metadata.delete_device(ThinId{7})), Errc::not_found);
  });
}

TEST(Metadata, AClosedDevicesChangesAreCommitted) {
  const auto image = with_metadata(example(), [](Metadata& metadata) {
    OpenThin* const device = must(metadata.open_device(ThinId{7}));
    must(provision(metadata, *device, 100));
    metadata.close_device(*device);
    OpenThin* const again = must(metadata.open_device(ThinId{7}));
    EXPECT_EQ(must(metadata.mapped_count(*again)), 3U);
    EXPECT_TRUE(metadata.changed_this_transaction(*again));
    metadata.close_device(*again);
  });
  EXPECT_EQ(faults_of(*image), "");
  EXPECT_EQ(dump_of(*image).device(7)->details.mapped_blocks, 3U);
}

TEST(Metadata, IdsBeyondTheFormatAreRefused) {
  with_metadata(example(), [](Metadata& metadata) {
    EXPECT_EQ(code_of(metadata.create_thin(ThinId{kThinIdMax + 1})), Errc::invalid);
    EXPECT_EQ(code_of(metadata.create_snap(ThinId{kThinIdMax + 1}, ThinId{7})), Errc::invalid);
    must(metadata.create_thin(ThinId{kThinIdMax}));
  });
}

TEST(Metadata, SnapshotsEndWithTheClock) {
  const auto image =
      with_superblock(example(), [](SuperblockDisk& super) { super.time = kTimeMax - 1; });
  const auto after = with_metadata(image, [](Metadata& metadata) {
    must(metadata.create_snap(ThinId{1}, ThinId{7}));
    EXPECT_EQ(code_of(metadata.create_snap(ThinId{2}, ThinId{7})), Errc::invalid);
    OpenThin* const device = must(metadata.open_device(ThinId{1}));
    must(provision(metadata, *device, 1));
    EXPECT_EQ(must(metadata.lookup(*device, VirtBlock{1})), (Mapping{DataBlock{3}, false}));
    metadata.close_device(*device);
  });
  EXPECT_EQ(faults_of(*after), "");
}

TEST(Metadata, HeldRootsPinWhatTheyReach) {
  const auto image = with_metadata(example(), [](Metadata& metadata) {
    EXPECT_EQ(code_of(metadata.release_metadata_snapshot()), Errc::invalid);
    must(metadata.reserve_metadata_snapshot());
    EXPECT_EQ(code_of(metadata.reserve_metadata_snapshot()), Errc::busy);
    EXPECT_TRUE(must(metadata.held_root()).has_value());
    must(metadata.delete_device(ThinId{7}));
    must(metadata.delete_device(ThinId{8}));
    must(metadata.commit());
    EXPECT_EQ(must(metadata.free_data_blocks()), 197U);
  });
  EXPECT_EQ(faults_of(*image), "");
  const auto after = with_metadata(image, [](Metadata& metadata) {
    const std::uint64_t before = must(metadata.free_metadata_blocks_raw());
    must(metadata.release_metadata_snapshot());
    must(metadata.commit());
    EXPECT_EQ(must(metadata.free_data_blocks()), 200U);
    EXPECT_GT(must(metadata.free_metadata_blocks_raw()), before);
  });
  EXPECT_EQ(faults_of(*after), "");
  EXPECT_EQ(view_as<SuperblockDisk>(ConstBytes{pdata::block_bytes(*after, 0)})
                .metadata_map.root.nr_allocated.value(),
            9U);   // as a fresh pool, and a bitmap of the data map
}

TEST(Metadata, OnlyABlockThatIsTheCallersCanBeMapped) {
  const auto image = with_metadata(example(), [](Metadata& metadata) {
    OpenThin* const device = must(metadata.open_device(ThinId{7}));
    std::vector<DataBlock> blocks;
    must(metadata.resize_data(201));
    while (const auto block = metadata.alloc_data_block())
      blocks.push_back(*block);
    EXPECT_EQ(metadata.staged_data_blocks(), 198U);
    EXPECT_EQ(blocks.back(), DataBlock{200});
    must(metadata.abort());   // and the device has 200 again
    EXPECT_EQ(metadata.staged_data_blocks(), 197U);
    EXPECT_EQ(code_of(metadata.insert(*device, VirtBlock{1}, DataBlock{200})), Errc::invalid);
    EXPECT_EQ(code_of(metadata.insert(*device, VirtBlock{1}, DataBlock{0})), Errc::invalid);
    // It has not been given to anybody meanwhile.
    EXPECT_EQ(code_of(metadata.alloc_data_block()), Errc::no_data_space);
    must(metadata.insert(*device, VirtBlock{1}, blocks.front()));
    EXPECT_EQ(code_of(metadata.insert(*device, VirtBlock{2}, blocks.front())), Errc::invalid);
    must(metadata.commit());
    for (const DataBlock block : blocks)
      metadata.give_back_data_block(block);
    EXPECT_EQ(must(metadata.data_ref_count(blocks.front())), 1U);
    EXPECT_EQ(must(metadata.free_data_blocks()), 196U);
    metadata.close_device(*device);
  });
  EXPECT_EQ(faults_of(*image), "");
}

TEST(Metadata, GrowsWithItsDevices) {
  auto image = example();
  auto grown = std::make_shared<sim::DiskImage>(*image);
  grown->resize(40000 * kMetaBlockSectors);
  const auto after = with_metadata({.image = grown}, small_options(), [](Metadata& metadata) {
    EXPECT_EQ(must(metadata.metadata_blocks()), 256U);
    EXPECT_TRUE(must(metadata.resize_metadata()));
    EXPECT_FALSE(must(metadata.resize_metadata()));
    EXPECT_EQ(must(metadata.metadata_blocks()), 40000U);
    EXPECT_EQ(code_of(metadata.resize_data(100)), Errc::invalid);
    must(metadata.resize_data(50000));
    must(metadata.commit());
    EXPECT_EQ(must(metadata.data_blocks()), 50000U);
    EXPECT_EQ(must(metadata.free_data_blocks()), 49997U);
  });
  EXPECT_EQ(faults_of(*after), "");
  EXPECT_EQ(
      view_as<SuperblockDisk>(ConstBytes{pdata::block_bytes(*after, 0)}).metadata_blocks.value(),
      256U);   // as formatted, for ever
}

TEST(Metadata, CachedLookupsNeverWait) {
  in_tank({.image = example()}, [](sim::SimDevice& device) {
    const auto metadata = must(Metadata::open(device, small_options()));
    OpenThin* const thin = must(metadata->open_device(ThinId{7}));
    const VirtBlock block{5};
    {
      const ContextScope caller{ContextKind::caller};
      EXPECT_EQ(code_of(metadata->lookup_cached(*thin, block)), Errc::would_block);   // not read
    }
    EXPECT_TRUE(must(metadata->lookup(*thin, block)).has_value());
    {
      const ContextScope caller{ContextKind::caller};
      EXPECT_EQ(must(metadata->lookup_cached(*thin, block)), (Mapping{DataBlock{2}, false}));
    }
    metadata->close_device(*thin);
    must(metadata->close());
  });
}

}   // namespace
}   // namespace engine::thin
