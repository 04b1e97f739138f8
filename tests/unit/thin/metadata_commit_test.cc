// What a commit takes along and what it waits for; what is left when there is none: after an abort,
// a failure, in fail mode.
#include <functional>
#include <vector>

#include <gtest/gtest.h>

#include "engine/thin/metadata.h"
#include "tests/unit/thin/metadata_tank.h"

namespace engine::thin {
namespace {

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

TEST(MetadataCommit, DataIsFlushedBeforeACommitWritesAnything) {
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

TEST(MetadataCommit, FreedDataBlocksAreReusedOnlyAfterTheCommit) {
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

TEST(MetadataCommit, NeedsCheckIsDurableAtOnceAndTakesNothingElseAlong) {
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

TEST(MetadataCommit, AbortRollsMappedCountsBack) {
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

// Neither a commit nor a failure has a block that is not mapped.
TEST(MetadataCommit, ABlockThatIsNotMappedIsNotOnDisk) {
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

TEST(MetadataCommit, InFailModeEveryCallFailsAndNoneCrashes) {
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

TEST(MetadataCommit, AnAbortThatFailsEndsInFailMode) {
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

TEST(MetadataCommit, HalfAChangeIsNeverCommitted) {
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
TEST(MetadataCommit, CachedLookupsGoOnWhileACommitIsWritten) {
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
