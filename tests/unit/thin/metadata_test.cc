// What each call promises, one promise a test.
#include "engine/thin/metadata.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/thin/metadata_tank.h"

namespace engine::thin {
namespace {

sim::DiskImageRef example() {
  return with_metadata({.blocks = 256}, small_options(), example_history);
}

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

class Hook final : public PreCommitHook {
 public:
  Result<void> before_commit() override {
    ++calls;
    submissions = device != nullptr ? device->submissions() : 0;
    if (broken) return fail(Errc::io_error);
    return {};
  }
  int calls = 0;
  bool broken = false;
  std::uint32_t submissions = 0;
  sim::SimDevice* device = nullptr;
};

TEST(Metadata, DataIsFlushedBeforeACommitWritesAnything) {
  in_tank({.image = example()}, [](sim::SimDevice& device) {
    const auto metadata = must(Metadata::open(device, small_options()));
    Hook hook;
    hook.device = &device;
    metadata->set_pre_commit_hook(&hook);
    must(metadata->commit());
    EXPECT_EQ(hook.calls, 0);   // not in service
    OpenThin* const thin = must(metadata->open_device(ThinId{7}));
    must(provision(*metadata, *thin, 3));
    const std::uint32_t before = device.submissions();
    hook.broken = true;
    EXPECT_EQ(code_of(metadata->commit()), Errc::io_error);
    EXPECT_EQ(device.submissions(), before);
    hook.broken = false;
    must(metadata->commit());
    EXPECT_EQ(hook.calls, 2);
    EXPECT_EQ(hook.submissions, before);
    EXPECT_GT(device.submissions(), before);
    const std::uint32_t after = device.submissions();
    must(metadata->commit());   // nothing new: data is flushed, no metadata written
    EXPECT_EQ(hook.calls, 3);
    EXPECT_EQ(device.submissions(), after);
    metadata->set_pre_commit_hook(nullptr);
    metadata->close_device(*thin);
    must(metadata->close());
  });
}

TEST(Metadata, FreedDataBlocksAreReusedOnlyAfterTheCommit) {
  with_metadata(example(), [](Metadata& metadata) {
    OpenThin* const device = must(metadata.open_device(ThinId{7}));
    while (metadata.alloc_data_block())
      ;
    EXPECT_EQ(must(metadata.free_data_blocks()), 0U);
    EXPECT_EQ(must(metadata.remove_range(*device, VirtBlock{0}, VirtBlock{100})), 2U);
    EXPECT_EQ(must(metadata.free_data_blocks()), 1U);   // block 1 belongs to thin 8 too
    EXPECT_EQ(code_of(metadata.alloc_data_block()), Errc::no_data_space);
    must(metadata.commit());
    EXPECT_EQ(must(metadata.alloc_data_block()), DataBlock{2});
    metadata.close_device(*device);
  });
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

TEST(Metadata, NeedsCheckIsDurableAtOnceAndTakesNothingElseAlong) {
  const auto image = in_tank({.image = example()}, [](sim::SimDevice& device) {
    const auto metadata = must(Metadata::open(device, small_options()));
    OpenThin* const thin = must(metadata->open_device(ThinId{7}));
    must(provision(*metadata, *thin, 77));
    EXPECT_FALSE(must(metadata->needs_check()));
    must(metadata->set_needs_check());
    device.power_cut();
    metadata->close_device(*thin);
  });
  EXPECT_EQ(faults_of(*image), "");
  EXPECT_EQ(dump_of(*image).device(7)->mappings.size(), 2U);
  const auto after = with_metadata(image, [](Metadata& metadata) {
    EXPECT_TRUE(must(metadata.needs_check()));
    must(metadata.create_thin(ThinId{1}));   // whether to, is the pool's affair
    must(metadata.abort());
    EXPECT_TRUE(must(metadata.needs_check()));
  });
  EXPECT_EQ(dump_of(*after).devices.size(), 2U);
}

TEST(Metadata, AbortRollsMappedCountsBack) {
  with_metadata(example(), [](Metadata& metadata) {
    OpenThin* const seven = must(metadata.open_device(ThinId{7}));
    OpenThin* const eight = must(metadata.open_device(ThinId{8}));
    must(provision(metadata, *seven, 70));
    EXPECT_EQ(must(metadata.mapped_count(*seven)), 3U);
    must(metadata.create_thin(ThinId{1}));
    OpenThin* const one = must(metadata.open_device(ThinId{1}));
    must(metadata.abort());
    EXPECT_EQ(must(metadata.mapped_count(*seven)), 2U);
    EXPECT_TRUE(metadata.aborted_with_changes(*seven));
    EXPECT_FALSE(metadata.aborted_with_changes(*eight));
    EXPECT_EQ(code_of(metadata.lookup(*one, VirtBlock{0})), Errc::not_found);
    EXPECT_EQ(code_of(metadata.lookup_cached(*one, VirtBlock{0})), Errc::not_found);
    EXPECT_EQ(code_of(metadata.insert(*one, VirtBlock{0}, DataBlock{0})), Errc::not_found);
    EXPECT_EQ(code_of(metadata.open_device(ThinId{1})), Errc::not_found);
    metadata.close_device(*one);
    EXPECT_EQ(must(metadata.lookup(*seven, VirtBlock{70})), std::nullopt);
    metadata.close_device(*seven);
    metadata.close_device(*eight);
    OpenThin* const again = must(metadata.open_device(ThinId{7}));
    EXPECT_FALSE(metadata.aborted_with_changes(*again));
    metadata.close_device(*again);
  });
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

// Neither a commit nor a failure has a block that is not mapped.
TEST(Metadata, ABlockThatIsNotMappedIsNotOnDisk) {
  const auto image = with_metadata(example(), [](Metadata& metadata) {
    OpenThin* const device = must(metadata.open_device(ThinId{7}));
    static_cast<void>(must(metadata.alloc_data_block()));
    must(metadata.create_thin(ThinId{1}));
    must(metadata.commit());
    static_cast<void>(must(metadata.alloc_data_block()));
    must(provision(metadata, *device, 1));
    must(metadata.commit());
    must(metadata.take_back());
    must(metadata.create_thin(ThinId{2}));
    EXPECT_EQ(metadata.staged_data_blocks(), 2U);
    metadata.close_device(*device);
  });
  EXPECT_EQ(faults_of(*image), "");
}

TEST(Metadata, InFailModeEveryCallFailsAndNoneCrashes) {
  in_tank({.image = example()}, [](sim::SimDevice& device) {
    const auto metadata = must(Metadata::open(device, small_options()));
    Hook hook;
    OpenThin* const thin = must(metadata->open_device(ThinId{7}));
    must(provision(*metadata, *thin, 3));
    metadata->fail_now();
    metadata->fail_now();
    const std::uint32_t before = device.submissions();
    metadata->set_pre_commit_hook(&hook);
    metadata->set_read_only(true);
    metadata->set_read_only(false);
    EXPECT_TRUE(metadata->failed());
    const VirtBlock v{0};
    const DataBlock d{0};
    const std::vector<Errc> codes{
        code_of(metadata->create_thin(ThinId{1})),
        code_of(metadata->create_snap(ThinId{1}, ThinId{7})),
        code_of(metadata->delete_device(ThinId{8})),
        code_of(metadata->open_device(ThinId{8})),
        code_of(metadata->transaction_id()),
        code_of(metadata->set_transaction_id(0, 1)),
        code_of(metadata->reserve_metadata_snapshot()),
        code_of(metadata->release_metadata_snapshot()),
        code_of(metadata->held_root()),
        code_of(metadata->lookup_cached(*thin, v)),
        code_of(metadata->lookup(*thin, v)),
        code_of(metadata->find_mapped_range(*thin, v, v + 9)),
        code_of(metadata->insert(*thin, v, d)),
        code_of(metadata->remove_range(*thin, v, v + 9)),
        code_of(metadata->mapped_count(*thin)),
        code_of(metadata->highest_mapped(*thin)),
        code_of(metadata->alloc_data_block()),
        code_of(metadata->inc_data_range(d, d + 1)),
        code_of(metadata->dec_data_range(d, d + 1)),
        code_of(metadata->data_ref_count(d)),
        code_of(metadata->is_data_shared(d)),
        code_of(metadata->free_data_blocks()),
        code_of(metadata->data_blocks()),
        code_of(metadata->resize_data(300)),
        code_of(metadata->free_metadata_blocks()),
        code_of(metadata->free_metadata_blocks_raw()),
        code_of(metadata->metadata_blocks()),
        code_of(metadata->resize_metadata()),
        code_of(metadata->commit()),
        code_of(metadata->abort()),
        code_of(metadata->set_needs_check()),
        code_of(metadata->needs_check()),
    };
    for (std::size_t i = 0; i < codes.size(); ++i)
      EXPECT_EQ(codes[i], Errc::failed) << "call " << i;
    EXPECT_TRUE(metadata->changed_this_transaction(*thin));
    EXPECT_TRUE(metadata->aborted_with_changes(*thin));
    EXPECT_EQ(hook.calls, 0);
    EXPECT_EQ(device.submissions(), before);
    metadata->give_back_data_block(d);
    EXPECT_EQ(metadata->staged_data_blocks(), 0U);
    metadata->close_device(*thin);
    must(metadata->close());
  });
}

TEST(Metadata, AnAbortThatFailsEndsInFailMode) {
  in_tank({.image = example()}, [](sim::SimDevice& device) {
    const auto metadata = must(Metadata::open(device, small_options()));
    OpenThin* const thin = must(metadata->open_device(ThinId{7}));
    must(provision(*metadata, *thin, 3));
    device.faults().rules.push_back({.ops = sim::kReads, .one_in = 1, .count_max = 100});
    EXPECT_EQ(code_of(metadata->abort()), Errc::io_error);
    EXPECT_TRUE(metadata->failed());
    EXPECT_EQ(code_of(metadata->lookup(*thin, VirtBlock{5})), Errc::failed);
    EXPECT_EQ(code_of(metadata->set_needs_check()), Errc::failed);
    metadata->close_device(*thin);
    must(metadata->close());
  });
}

TEST(Metadata, HalfAChangeIsNeverCommitted) {
  const sim::DiskImageRef image = example();
  const auto after = in_tank({.image = image}, [](sim::SimDevice& device) {
    const auto metadata = must(Metadata::open(device, small_options()));
    OpenThin* const thin = must(metadata->open_device(ThinId{7}));
    const DataBlock block = must(metadata->alloc_data_block());
    device.faults().rules.push_back({.ops = sim::kReads, .one_in = 1});   // one: the leaf's
    EXPECT_EQ(code_of(metadata->insert(*thin, VirtBlock{1}, block)), Errc::io_error);
    const std::uint32_t before = device.submissions();
    EXPECT_EQ(code_of(metadata->commit()), Errc::io_error);
    EXPECT_EQ(code_of(metadata->create_thin(ThinId{1})), Errc::io_error);
    EXPECT_EQ(code_of(metadata->reserve_metadata_snapshot()), Errc::io_error);
    EXPECT_EQ(device.submissions(), before);
    must(metadata->abort());
    EXPECT_EQ(must(metadata->lookup(*thin, VirtBlock{5})), (Mapping{DataBlock{2}, false}));
    must(metadata->create_thin(ThinId{1}));
    must(metadata->commit());
    metadata->close_device(*thin);
    must(metadata->close());
  });
  EXPECT_EQ(faults_of(*after), "");
  EXPECT_EQ(dump_of(*after).devices.size(), 3U);
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

// Hands everything on, and looks before each write and flush.
class LookingDevice final : public BlockDevice {
 public:
  explicit LookingDevice(BlockDevice& below) : BlockDevice{"looking"}, below_{below} {}
  [[nodiscard]] DeviceLimits limits() const noexcept override { return below_.limits(); }
  std::function<void()> look;

 protected:
  void do_submit(Bio& bio) override {
    if (look && bio.op != BioOp::read) look();
    bio.submitted = false;
    below_.submit(bio);
  }

 private:
  BlockDevice& below_;
};

// What takes long about a commit keeps nobody from the mappings, old or new.
TEST(Metadata, CachedLookupsGoOnWhileACommitIsWritten) {
  in_tank({.image = example()}, [](sim::SimDevice& disk) {
    LookingDevice device{disk};
    const auto metadata = must(Metadata::open(device, small_options()));
    OpenThin* const thin = must(metadata->open_device(ThinId{7}));
    const DataBlock fresh = must(provision(*metadata, *thin, 6));
    int looks = 0;
    const auto look = [&] {
      const ContextScope caller{ContextKind::caller};
      EXPECT_EQ(must(metadata->lookup_cached(*thin, VirtBlock{5})), (Mapping{DataBlock{2}, false}));
      EXPECT_EQ(must(metadata->lookup_cached(*thin, VirtBlock{6})), (Mapping{fresh, false}));
      ++looks;
    };
    struct Looking final : PreCommitHook {
      Result<void> before_commit() override {
        look();
        return {};
      }
      std::function<void()> look;
    } hook;
    hook.look = look;
    metadata->set_pre_commit_hook(&hook);
    device.look = look;
    must(metadata->commit());
    EXPECT_GE(looks, 5);   // the hook, blocks, flush, superblock
    device.look = nullptr;
    metadata->set_pre_commit_hook(nullptr);
    metadata->close_device(*thin);
    must(metadata->close());
  });
}

}   // namespace
}   // namespace engine::thin
