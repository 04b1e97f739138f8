// What a cache's metadata promises, call by call, in both versions.
#include <gtest/gtest.h>

#include "engine/cache/superblock_format.h"
#include "engine/pdata/bitset.h"
#include "tests/unit/cache/metadata_tank.h"

namespace engine::cache {
namespace {

class CacheMetadata : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  [[nodiscard]] MetadataOptions options(std::uint32_t cache_blocks = 512) const {
    return options_for(GetParam(), cache_blocks);
  }
};
INSTANTIATE_TEST_SUITE_P(Versions, CacheMetadata, ::testing::Values(1U, 2U));

// The superblock's flags on the device as it is now, whatever its caches hold.
std::uint32_t durable_flags(const sim::SimDevice& device) {
  const auto bytes = pdata::block_bytes(*device.durable_snapshot(), 0);
  return view_as<SuperblockDisk>(ConstBytes{bytes}).flags.value();
}

TEST_P(CacheMetadata, IsFormattedAtItsFullSize) {
  const auto image = with_metadata({}, options(600), [&](Metadata& metadata) {
    EXPECT_EQ(must(metadata.version()), GetParam());
    EXPECT_EQ(must(metadata.cache_blocks()), 600);
    EXPECT_EQ(mappings_of(metadata).size(), 0);
    EXPECT_EQ(must(metadata.load_discards(kTestDiscards)).size(), 0);
    EXPECT_FALSE(must(metadata.clean()));
    EXPECT_FALSE(metadata.changed_this_transaction());
  });
  EXPECT_EQ(faults_of(*image), "");
  EXPECT_EQ(report_of(*image).superblock.cache_blocks, 600);
}

TEST_P(CacheMetadata, KeepsAllThatACleanShutdownStores) {
  const CoreState state = example_state();
  const auto image = example_image(GetParam());
  ASSERT_EQ(faults_of(*image), "");
  const auto report = report_of(*image);
  EXPECT_TRUE(report.superblock.clean());
  EXPECT_EQ(report.superblock.version, GetParam());
  EXPECT_EQ(report.superblock.policy_name, "smq");
  std::vector<StoredMapping> seen;
  for (const auto& mapping : report.mappings)
    seen.push_back({.block = CacheBlock{mapping.cache_block},
                    .origin = OriginBlock{mapping.origin_block},
                    .dirty = mapping.dirty,
                    .hint = mapping.hint});
  EXPECT_EQ(seen, state.stored());
  const auto again = with_metadata({.image = image}, options(), [&](Metadata& metadata) {
    EXPECT_TRUE(must(metadata.clean()));
    EXPECT_EQ(mappings_of(metadata), state.stored());
    EXPECT_EQ(discards_of(metadata), report.discarded);
    EXPECT_EQ(must(metadata.statistics()), state.statistics);
  });
  EXPECT_TRUE(report_of(*again).superblock.clean()) << "opening must not change a thing";
}

TEST_P(CacheMetadata, WithoutTheMarkEverythingIsDirty) {
  const auto image =
      with_metadata({.image = example_image(GetParam())}, options(), [&](Metadata& metadata) {
        must(metadata.begin_service());
        EXPECT_FALSE(must(metadata.clean()));
        CoreState state = example_state();
        EXPECT_EQ(mappings_of(metadata), state.all_dirty());
        EXPECT_EQ(discards_of(metadata).size(), 0);
        must(metadata.remove(CacheBlock{13}));
        must(metadata.insert(CacheBlock{500}, OriginBlock{9}));
        state.mappings.erase(13);
        state.mappings[500] = 9;
        EXPECT_EQ(mappings_of(metadata), state.all_dirty());
      });
  EXPECT_FALSE(report_of(*image).superblock.clean());
  EXPECT_EQ(faults_of(*image), "");
}

// What Linux forgets: until then a write could hit a block that the image calls clean.
TEST_P(CacheMetadata, BeginningServiceTakesTheMarkAwayDurably) {
  in_tank({.image = example_image(GetParam())}, [&](sim::SimDevice& device) {
    const auto metadata = must(Metadata::open(device, options()));
    EXPECT_EQ(durable_flags(device), kFlagClean);
    must(metadata->begin_service());
    EXPECT_EQ(durable_flags(device), 0);
    must(metadata->begin_service());   // nothing left to do
    metadata->close();
  });
}

TEST_P(CacheMetadata, AnyOtherCommitTakesTheMarkAway) {
  in_tank({.image = example_image(GetParam())}, [&](sim::SimDevice& device) {
    const auto metadata = must(Metadata::open(device, options()));
    must(metadata->insert(CacheBlock{1}, OriginBlock{1}));
    EXPECT_FALSE(must(metadata->clean()));
    must(metadata->commit());
    EXPECT_EQ(durable_flags(device), 0);
    must(metadata->shut_down_cleanly(example_state().clean_state()));
    EXPECT_EQ(durable_flags(device), kFlagClean);
    EXPECT_TRUE(must(metadata->clean()));
    metadata->close();
    EXPECT_EQ(durable_flags(device), kFlagClean);
  });
}

// Opened unclean, suspended cleanly, reloaded on the same object: what was stored counts.
TEST_P(CacheMetadata, CleanIsWhatTheLastCommitWas) {
  with_metadata({}, options(), [&](Metadata& metadata) {
    CoreState state = example_state();
    map_all(metadata, state);
    must(metadata.commit());
    must(metadata.shut_down_cleanly(state.clean_state()));
    EXPECT_EQ(mappings_of(metadata), state.stored());
    must(metadata.begin_service());
    EXPECT_EQ(mappings_of(metadata), state.all_dirty());
  });
}

TEST_P(CacheMetadata, HintsAreForTheSamePolicyOnly) {
  with_metadata({.image = example_image(GetParam())}, options(), [&](Metadata& metadata) {
    const auto hinted = [&](PolicyIdentity policy) {
      const auto mappings = mappings_of(metadata, policy);
      return std::all_of(mappings.begin(), mappings.end(),
                         [](const StoredMapping& m) { return m.hint.has_value(); });
    };
    PolicyIdentity policy = kTestPolicy;
    policy.version.minor = 5;
    policy.version.patch = 9;
    EXPECT_TRUE(hinted(policy));
    policy.version.major = 1;
    EXPECT_FALSE(hinted(policy));
    policy = kTestPolicy;
    policy.name = "smq2";
    EXPECT_FALSE(hinted(policy));
    policy.name = "cleaner";
    EXPECT_FALSE(hinted(policy));
    policy = kTestPolicy;
    policy.hint_size = 0;
    EXPECT_FALSE(hinted(policy));
  });
}

TEST_P(CacheMetadata, APolicyWithoutHintsLeavesNone) {
  const auto image =
      with_metadata({.image = example_image(GetParam())}, options(), [&](Metadata& metadata) {
        CoreState state = example_state();
        CleanState clean = state.clean_state();
        clean.hint = nullptr;
        clean.policy.name = "cleaner";
        must(metadata.shut_down_cleanly(clean));
      });
  EXPECT_EQ(faults_of(*image), "");
  EXPECT_EQ(report_of(*image).superblock.hint_root, 0);
  EXPECT_EQ(report_of(*image).superblock.policy_hint_size, 0);
  EXPECT_EQ(report_of(*image).superblock.policy_name, "cleaner");
}

TEST_P(CacheMetadata, RefusesWhatItCannotStore) {
  with_metadata({}, options(), [&](Metadata& metadata) {
    CoreState state;
    CleanState clean = state.clean_state();
    clean.policy.name = "a-name-too-long.";
    EXPECT_EQ(code_of(metadata.shut_down_cleanly(clean)), Errc::invalid);
    EXPECT_FALSE(must(metadata.clean()));
    EXPECT_EQ(code_of(metadata.insert(CacheBlock{512}, OriginBlock{0})), Errc::invalid);
    EXPECT_EQ(code_of(metadata.insert(CacheBlock{0}, OriginBlock{kOriginBlocksMax})),
              Errc::invalid);
    EXPECT_EQ(code_of(metadata.remove(CacheBlock{0})), Errc::not_found);
    must(metadata.insert(CacheBlock{0}, OriginBlock{5}));
    EXPECT_EQ(code_of(metadata.insert(CacheBlock{0}, OriginBlock{6})), Errc::exists);
    EXPECT_EQ(code_of(metadata.remove(CacheBlock{512})), Errc::invalid);
    EXPECT_EQ(code_of(metadata.resize(0)), Errc::invalid);
    EXPECT_EQ(code_of(metadata.load_mappings(kTestPolicy, 5)), Errc::invalid);
    must(metadata.commit());
  });
}

TEST_P(CacheMetadata, OpeningRefusesInWords) {
  in_tank({.blocks = 4}, [&](sim::SimDevice& device) {
    EXPECT_EQ(code_of(Metadata::open(device, options())), Errc::invalid) << "too small";
  });
  in_tank({}, [&](sim::SimDevice& device) {
    MetadataOptions wrong = options();
    wrong.if_blank = IfBlank::refuse;
    EXPECT_EQ(code_of(Metadata::open(device, wrong)), Errc::not_permitted);
    wrong = options(0);
    EXPECT_EQ(code_of(Metadata::open(device, wrong)), Errc::invalid);
    for (const std::uint32_t sectors : {0U, 32U, 96U, 2097152U + 64}) {
      wrong = options();
      wrong.data_block_sectors = sectors;
      EXPECT_EQ(code_of(Metadata::open(device, wrong)), Errc::invalid) << sectors;
    }
    EXPECT_EQ(pdata::block_bytes(*device.snapshot(), 0), std::vector<std::byte>(kMetaBlockSize));
  });
  in_tank({.image = example_image(GetParam())}, [&](sim::SimDevice& device) {
    MetadataOptions wrong = options();
    wrong.data_block_sectors = 128;
    EXPECT_EQ(code_of(Metadata::open(device, wrong)), Errc::invalid);
    EXPECT_EQ(durable_flags(device), kFlagClean);
    // The device's own version wins.
    wrong = options();
    wrong.version = 3 - GetParam();
    const auto metadata = must(Metadata::open(device, wrong));
    EXPECT_EQ(must(metadata->version()), GetParam());
    metadata->close();
  });
}

TEST_P(CacheMetadata, ResizingKeepsWhatStays) {
  for (const std::uint32_t to : {508U, 509U, 510U, 512U, 700U, 1018U, 1019U, 2000U}) {
    SCOPED_TRACE(to);
    CoreState state = example_state();
    const auto image =
        with_metadata({.image = example_image(GetParam())}, options(), [&](Metadata& metadata) {
          // Block 511 and the like are free: 13 * 39 = 507 is the highest that is mapped.
          must(metadata.resize(to));
          EXPECT_EQ(must(metadata.cache_blocks()), to);
          EXPECT_EQ(mappings_of(metadata), state.stored()) << "hints and dirty bits too";
          must(metadata.begin_service());
        });
    EXPECT_EQ(faults_of(*image), "");
    const auto report = report_of(*image);
    EXPECT_EQ(report.superblock.cache_blocks, to);
    EXPECT_EQ(report.mappings.size(), state.mappings.size());
  }
}

TEST_P(CacheMetadata, ShrinkingRefusesToDropDirtyBlocks) {
  const auto image = example_image(GetParam());   // 13 * 36 = 468 is dirty, 481 is not
  const auto after = with_metadata({.image = image}, options(), [&](Metadata& metadata) {
    EXPECT_EQ(code_of(metadata.resize(468)), Errc::busy);
    EXPECT_EQ(must(metadata.cache_blocks()), 512);
    EXPECT_FALSE(must(metadata.needs_check()));
    EXPECT_FALSE(metadata.changed_this_transaction());
    must(metadata.resize(469));
    EXPECT_EQ(mappings_of(metadata).size(), 37);
    must(metadata.begin_service());
    EXPECT_EQ(code_of(metadata.resize(468)), Errc::busy) << "anything mapped may be dirty now";
    must(metadata.resize(469));
  });
  EXPECT_EQ(faults_of(*after), "");
  // An image that is not clean: any mapped block counts.
  with_metadata({.image = after}, options(), [&](Metadata& metadata) {
    EXPECT_EQ(code_of(metadata.resize(468)), Errc::busy);
    must(metadata.remove(CacheBlock{468}));
    must(metadata.resize(468));
  });
}

TEST_P(CacheMetadata, HintsOfAnotherLengthGo) {
  const auto image =
      with_metadata({.image = example_image(GetParam())}, options(), [&](Metadata& metadata) {
        must(metadata.begin_service());
        must(metadata.resize(1100));   // not clean: nobody may use them any more
        must(metadata.commit());
      });
  EXPECT_EQ(faults_of(*image), "");
  EXPECT_EQ(report_of(*image).superblock.hint_root, 0);
}

TEST_P(CacheMetadata, AbortReturnsToTheLastCommitInEveryField) {
  const CoreState state = example_state();
  const auto image =
      with_metadata({.image = example_image(GetParam())}, options(), [&](Metadata& metadata) {
        must(metadata.resize(900));
        must(metadata.remove(CacheBlock{13}));
        must(metadata.insert(CacheBlock{800}, OriginBlock{1}));
        EXPECT_FALSE(must(metadata.clean()));
        must(metadata.abort());
        EXPECT_EQ(must(metadata.cache_blocks()), 512);
        EXPECT_TRUE(must(metadata.clean()));
        EXPECT_EQ(mappings_of(metadata), state.stored());
        EXPECT_EQ(must(metadata.statistics()), state.statistics);
        EXPECT_FALSE(metadata.changed_this_transaction());
      });
  EXPECT_EQ(faults_of(*image), "");
  EXPECT_TRUE(report_of(*image).superblock.clean());
}

TEST_P(CacheMetadata, NeedsCheckKeepsTheOtherFlagsAndOutlivesCommits) {
  in_tank({.image = example_image(GetParam())}, [&](sim::SimDevice& device) {
    auto metadata = must(Metadata::open(device, options()));
    must(metadata->set_needs_check());
    EXPECT_TRUE(must(metadata->needs_check()));
    EXPECT_EQ(durable_flags(device), kFlagClean | kFlagNeedsCheck);
    must(metadata->abort());
    EXPECT_TRUE(must(metadata->needs_check()));
    must(metadata->begin_service());
    EXPECT_EQ(durable_flags(device), kFlagNeedsCheck);
    must(metadata->insert(CacheBlock{1}, OriginBlock{1}));
    must(metadata->commit());
    EXPECT_EQ(durable_flags(device), kFlagNeedsCheck);
    metadata->close();
  });
}

TEST_P(CacheMetadata, ReadOnlyChangesNothingAndStaysSo) {
  in_tank({.image = example_image(GetParam())}, [&](sim::SimDevice& device) {
    auto metadata = must(Metadata::open(device, options()));
    metadata->set_read_only();
    EXPECT_EQ(code_of(metadata->insert(CacheBlock{1}, OriginBlock{1})), Errc::read_only);
    EXPECT_EQ(code_of(metadata->begin_service()), Errc::read_only);
    EXPECT_EQ(code_of(metadata->shut_down_cleanly(example_state().clean_state())), Errc::read_only);
    EXPECT_EQ(mappings_of(*metadata), example_state().stored());
    must(metadata->abort());
    EXPECT_TRUE(metadata->read_only());
    must(metadata->set_needs_check());
    EXPECT_EQ(durable_flags(device), kFlagClean);
    metadata->fail_now();
    EXPECT_EQ(code_of(metadata->abort()), Errc::failed);
    EXPECT_EQ(code_of(metadata->commit()), Errc::failed);
    metadata->close();
  });
}

TEST_P(CacheMetadata, AShutdownThatDoesNotFitLeavesTheMappings) {
  // Room for the arrays, not for a second copy of all of them beside.
  CoreState state;
  for (std::uint32_t i = 0; i < 5000; ++i) {
    state.mappings[i] = i % kTestOriginBlocks;
    state.dirty[i] = true;
  }
  const MetadataOptions large = options(5000);
  const auto image = with_metadata({.blocks = 28}, large, [&](Metadata& metadata) {
    std::uint32_t mapped = 0;
    for (; mapped < kTestOriginBlocks; ++mapped) {
      const auto inserted = metadata.insert(CacheBlock{mapped}, OriginBlock{mapped});
      if (!inserted) {
        EXPECT_EQ(code_of(inserted), Errc::no_metadata_space);
        must(metadata.abort());
        break;
      }
      if (mapped % 300 == 299) must(metadata.commit());
    }
    const std::size_t before = mappings_of(metadata).size();
    EXPECT_GT(before, 0);
    EXPECT_EQ(code_of(metadata.shut_down_cleanly(state.clean_state())), Errc::no_metadata_space);
    EXPECT_EQ(mappings_of(metadata).size(), before);
    EXPECT_FALSE(must(metadata.clean()));
    must(metadata.remove(CacheBlock{0}));
    must(metadata.commit());
  });
  EXPECT_EQ(faults_of(*image), "");
  EXPECT_FALSE(report_of(*image).superblock.clean());
}

TEST_P(CacheMetadata, DiscardsAreConvertedToOtherSizes) {
  with_metadata({}, options(), [&](Metadata& metadata) {
    CoreState state;
    for (std::uint64_t block = 3; block < 12; ++block)
      state.discarded[block] = true;
    state.discarded[20] = true;
    must(metadata.shut_down_cleanly(state.clean_state()));
    using Ranges = std::vector<DiscardRange>;
    const auto load = [&](std::uint64_t size, std::uint64_t count) {
      return must(metadata.load_discards({.block_sectors = size, .nr_blocks = count}));
    };
    const auto range = [](std::uint64_t begin, std::uint64_t end) {
      return DiscardRange{DiscardBlock{begin}, DiscardBlock{end}};
    };
    EXPECT_EQ(load(64, 4096), (Ranges{range(3, 12), range(20, 21)}));
    EXPECT_EQ(load(128, 2048), (Ranges{range(2, 6)}));
    EXPECT_EQ(load(256, 1024), (Ranges{range(1, 3)}));
    EXPECT_EQ(load(64, 10), (Ranges{range(3, 10)}));
    EXPECT_EQ(load(32, 30), (Ranges{range(6, 24)}));
  });
}

TEST(CacheMetadataFormat, TheRuleOfDiscardBlocks) {
  EXPECT_EQ(discard_geometry(64, 131072), (DiscardGeometry{64, 2048}));      // 64 MiB
  EXPECT_EQ(discard_geometry(64, 2097152), (DiscardGeometry{128, 16384}));   // 1 GiB
  EXPECT_EQ(discard_geometry(64, 131073), (DiscardGeometry{64, 2049}));
}

// As Linux leaves a cache whose table was loaded and never resumed; and with what a shrinking Linux
// leaves behind the end.
TEST(CacheMetadataFormat, ACacheOfNoBlocksGrowsOverWhatIsStale) {
  auto image = std::make_shared<sim::DiskImage>(*example_image(2));
  auto bytes = pdata::block_bytes(*image, 0);
  auto& super = view_as<SuperblockDisk>(MutableBytes{bytes});
  super.cache_blocks = 0;
  super.flags = 0;
  kCacheSuperblockValidator.prepare(MetaBlock{0}, bytes);
  image->write(Sector{0}, bytes);
  EXPECT_EQ(report_of(*image).exit_code(), 2);
  const auto after = with_metadata({.image = image}, options_for(2, 9), [](Metadata& metadata) {
    EXPECT_EQ(must(metadata.cache_blocks()), 0);
    EXPECT_EQ(mappings_of(metadata).size(), 0);
    must(metadata.resize(300));
    EXPECT_EQ(mappings_of(metadata).size(), 0);
    must(metadata.begin_service());
  });
  EXPECT_EQ(faults_of(*after), "");
  EXPECT_EQ(report_of(*after).superblock.cache_blocks, 300);
}

// Bits of blocks that are not mapped, as the tools write them, mean nothing and do not stay.
TEST(CacheMetadataFormat, DirtyBitsOfUnmappedBlocksAreNoise) {
  const auto image = example_image(2);
  const auto spoiled = in_tank({.image = image}, [](sim::SimDevice& device) {
    pdata::BlockManager blocks{device, {.superblock = &kCacheSuperblockValidator}};
    SuperblockDisk super;
    {
      const auto ref = must(blocks.read(kSuperblockPlace, kCacheSuperblockValidator));
      super = view_as<SuperblockDisk>(ref.bytes());
    }
    const auto tm = must(
        pdata::TransactionManager::open(blocks, pdata::SpaceMapRoot::decode(super.metadata_map)));
    pdata::Bitset bits{*tm};
    MetaBlock root{super.dirty_root.value()};
    root = must(bits.assign(root, 512, [](std::uint64_t) { return true; }));
    must(tm->commit([&](MutableBytes bytes) {
      tm->metadata_space_map().root().encode(super.metadata_map);
      super.dirty_root = root.value();
      view_as<SuperblockDisk>(bytes) = super;
    }));
    blocks.quiesce();
  });
  const auto report = report_of(*spoiled);
  EXPECT_EQ(report.exit_code(), 0);
  EXPECT_EQ(report.findings.of_rule(checkers::image::Rule::dirty_bits), 512 - 40);
  const auto after = with_metadata({.image = spoiled}, options_for(2, 512), [](Metadata& metadata) {
    CoreState state = example_state();
    for (const auto& [block, origin] : state.mappings)
      state.dirty[block] = true;
    EXPECT_EQ(mappings_of(metadata), state.stored());
    must(metadata.resize(508));
    must(metadata.shut_down_cleanly(example_state().clean_state()));
  });
  EXPECT_EQ(faults_of(*after), "");
}

}   // namespace
}   // namespace engine::cache
