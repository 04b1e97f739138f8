// Metadata blocks damaged while the pool runs: what meets one fails or is right, and the pool turns
// into the mode that docs/decisions/0009 says, never into an assertion.
#include <map>
#include <optional>
#include <set>

#include "engine/pdata/btree_format.h"
#include "tests/unit/thin/pool_tank.h"

namespace engine::thin {
namespace {

constexpr std::uint32_t kThins = 5;
constexpr std::uint64_t kThinBlocks = 24;
constexpr std::uint64_t kUnread = ~std::uint64_t{0};
// So few of the metadata's blocks in memory that the others are read again and again.
const PoolOptions kSmall{
    .commit_interval = Nanos{0}, .metadata_fan_out = 6, .metadata_cache_blocks = 8};
constexpr const char* kBroken = " ro discard_passdown queue_if_no_space needs_check ";

std::uint64_t value_of(std::uint32_t thin, std::uint64_t block) {
  return 1000 * (thin + 1) + block;
}

// Thin 0, of which 1 is a snapshot that has changed in part, and 3 and 4 are others; 2 by itself.
sim::DiskImageRef used_pool(sim::Execution& execution, sim::DiskImageRef& data) {
  PoolTank tank{execution, {.data_blocks = 96, .options = kSmall}};
  tank.make_pool();
  tank.make_thin(0, kThinBlocks);
  for (std::uint64_t block = 0; block < kThinBlocks; ++block)
    EXPECT_EQ(tank.write(0, block * kBlock, 1, value_of(0, block)), Errc::ok);
  tank.make_snap(1, 0, kThinBlocks);
  for (std::uint64_t block = 0; block < kThinBlocks / 2; ++block)
    EXPECT_EQ(tank.write(1, block * kBlock, 1, value_of(1, block)), Errc::ok);
  for (const std::uint32_t snapshot : {3U, 4U}) {
    tank.make_snap(snapshot, 0, kThinBlocks);
    EXPECT_EQ(tank.write(snapshot, 0, 1, value_of(snapshot, 0)),
              Errc::ok);   // three leaves refer to blocks 1 to 3
  }
  tank.make_thin(2, kThinBlocks);
  for (std::uint64_t block = 0; block < kThinBlocks; block += 2)
    EXPECT_EQ(tank.write(2, block * kBlock, 1, value_of(2, block)), Errc::ok);
  EXPECT_TRUE(tank.system.remove_all());
  data = tank.data.snapshot();
  return tank.metadata.snapshot();
}

std::uint64_t expected(std::uint32_t thin, std::uint64_t block) {
  if (thin == 1 && block >= kThinBlocks / 2) return value_of(0, block);
  if (thin == 2 && block % 2 != 0) return 0;
  if (thin >= 3 && block != 0) return value_of(0, block);
  return value_of(thin, block);
}

// Where what lies, read from the bytes alone.
class Blocks {
 public:
  explicit Blocks(sim::DiskImageRef image) : image_{std::move(image)} {
    const auto superblock = at<SuperblockDisk>(0, 0);
    kinds["superblock"] = {0};
    tree("details tree", superblock.details_root.value());
    for (const std::uint64_t root : tree("top-level tree", superblock.mapping_root.value())) {
      tree("mapping tree", root);
      leaves.push_back(first_leaf(root));
    }
    for (const std::uint64_t bitmap :
         tree("index of the data space map", superblock.data_map.root.bitmap_root.value()))
      kinds["bitmap of the data space map"].insert(bitmap);
    const std::uint64_t index = superblock.metadata_map.root.bitmap_root.value();
    kinds["index of the metadata space map"] = {index};
    kinds["bitmap of the metadata space map"] = {number_at(index, 16)};
    tree("overflow tree of the metadata space map",
         superblock.metadata_map.root.ref_count_root.value());
    tree("overflow tree of the data space map", superblock.data_map.root.ref_count_root.value());
  }
  std::map<std::string, std::set<std::uint64_t>> kinds;
  std::vector<std::uint64_t> leaves;   // of each thin, the one where its block 0 is

 private:
  std::uint64_t number_at(std::uint64_t block, std::size_t offset) {
    return at<Le64>(block, offset).value();
  }
  template <typename T>
  T at(std::uint64_t block, std::size_t offset) {
    std::array<std::byte, kMetaBlockSize> bytes{};
    image_->read(first_sector(MetaBlock{block}), bytes);
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
  }
  std::uint64_t first_leaf(std::uint64_t block) {
    while (at<Le32>(block, 4).value() != 2)
      block = number_at(block, 32 + std::size_t{8} * at<Le32>(block, 20).value());
    return block;
  }
  // The first eight bytes of each value of the leaves.
  std::vector<std::uint64_t> tree(const std::string& kind, std::uint64_t block) {
    kinds[kind].insert(block);
    const bool is_leaf = at<Le32>(block, 4).value() == 2;
    const std::uint32_t count = at<Le32>(block, 16).value();
    const std::uint32_t capacity = at<Le32>(block, 20).value();
    const std::uint32_t size = at<Le32>(block, 24).value();
    std::vector<std::uint64_t> values;
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::size_t offset = 32 + std::size_t{8} * capacity + std::size_t{size} * i;
      if (is_leaf && size < 8) continue;
      const std::uint64_t value = number_at(block, offset);
      if (is_leaf) {
        values.push_back(value);
      } else {
        const auto below = tree(kind, value);
        values.insert(values.end(), below.begin(), below.end());
      }
    }
    return values;
  }

  sim::DiskImageRef image_;
};

void damage(PoolTank& tank, std::uint64_t block) {
  AlignedBuffer buffer{kMetaBlockSize};
  std::memset(buffer.data(), 0x5A, kMetaBlockSize);
  Bio bio;
  bio.op = BioOp::write;
  bio.sector = first_sector(MetaBlock{block});
  bio.sectors = kMetaBlockSectors;
  bio.data = buffer.data();
  EXPECT_TRUE(submit_and_wait(tank.metadata, bio));
}

constexpr std::uint64_t kUsed = 7;   // what use() writes

// How many blocks cannot be read; the others are right: as they were, or as use() has left them.
std::uint64_t unread(PoolTank& tank, bool used = false) {
  std::uint64_t count = 0;
  for (std::uint32_t thin = 0; thin < kThins; ++thin) {
    for (std::uint64_t block = 0; block < kThinBlocks; ++block) {
      const std::uint64_t value = tank.read(thin, block * kBlock);
      const bool written = (thin == 2 && block == 1) || (thin == 0 && block == 1);
      if (value == kUnread) {
        ++count;
      } else if (!used || !written || value != kUsed) {
        EXPECT_EQ(value, expected(thin, block)) << "thin " << thin << " block " << block;
      }
    }
  }
  return count;
}

// A pool in use, closed, and opened again as it was, with the first thins active.
struct Opened {
  explicit Opened(sim::Execution& execution, std::uint32_t active = kThins)
      : image{used_pool(execution, data)},
        tank{execution, {.metadata = image, .data = data, .options = kSmall}},
        blocks{image} {
    tank.make_pool("", 96);
    for (std::uint32_t thin = 0; thin < active; ++thin)
      pdata::must(tank.activate(thin, kThinBlocks));
  }
  // What thin 0 needs for its block 0, and thin 2 does not.
  void damage_thin_0() { damage(tank, blocks.leaves[0]); }

  sim::DiskImageRef data;
  sim::DiskImageRef image;
  PoolTank tank;
  Blocks blocks;
};

enum class Becomes : std::uint8_t { healthy, read_only, failed };

// Uses the pool in all ways; what it has become.
Becomes use(PoolTank& tank) {
  const std::uint64_t lost = unread(tank);
  const bool lookups_met_it = tank.status_has(kBroken);
  EXPECT_EQ(lost != 0, lookups_met_it);
  static_cast<void>(tank.write(2, kBlock, 1, kUsed));   // provisioned
  static_cast<void>(tank.flush(2));
  static_cast<void>(tank.write(0, kBlock, 1, kUsed));       // sharing broken
  static_cast<void>(tank.discard(2, 5 * kBlock, kBlock));   // where nothing is
  static_cast<void>(tank.flush(0));
  static_cast<void>(tank.message("create_snap 7 2"));
  static_cast<void>(tank.message("create_thin 8"));
  static_cast<void>(tank.activate(8, 4));
  static_cast<void>(tank.message("delete 7"));
  static_cast<void>(tank.system.status("t0"));
  static_cast<void>(tank.reload_pool(96));
  tank.expect_idle();
  if (tank.status() == fmt::format("0 {} thin-pool Fail\n", 96 * kBlock)) {
    EXPECT_EQ(tank.read(0, 0), kUnread);
    return Becomes::failed;
  }
  if (!tank.status_has(kBroken)) return Becomes::healthy;
  EXPECT_EQ(unread(tank, true), lost);   // no more and no fewer
  return Becomes::read_only;
}

TEST(ThinDamage, TurnsThePoolIntoTheModeOfTheKindOfBlock) {
  // What is in memory and written anew by each commit is mended by the next one.
  const std::map<std::string, Becomes> modes{
      {"superblock", Becomes::healthy},
      {"bitmap of the data space map", Becomes::healthy},
      {"bitmap of the metadata space map", Becomes::healthy},
      {"index of the metadata space map", Becomes::healthy},
      {"mapping tree", Becomes::read_only},
      // It is in memory; here no change takes a count of it away.
      {"overflow tree of the metadata space map", Becomes::healthy},
      // A commit has to read it, and fails; the abort that follows does not.
      {"overflow tree of the data space map", Becomes::read_only},
      // The abort has to read these, too.
      {"top-level tree", Becomes::failed},
      {"details tree", Becomes::failed},
      {"index of the data space map", Becomes::failed},
  };
  std::map<std::string, std::set<std::uint64_t>> kinds;
  for_seeds(1, [&](sim::Execution& execution, std::uint64_t) {
    sim::DiskImageRef data;
    kinds = Blocks{used_pool(execution, data)}.kinds;
  });
  ASSERT_EQ(kinds.size(), modes.size());
  for (const auto& [kind, blocks] : kinds) {
    for (const std::uint64_t block : blocks) {
      SCOPED_TRACE(fmt::format("{}, block {}", kind, block));
      for_seeds(4, [&, kind = kind](sim::Execution& execution, std::uint64_t) {
        Opened opened{execution};
        damage(opened.tank, block);
        EXPECT_EQ(use(opened.tank), modes.at(kind));
        if (modes.at(kind) != Becomes::healthy || kind.starts_with("overflow")) return;
        EXPECT_TRUE(opened.tank.system.remove_all());
        EXPECT_EQ(faults_of(*opened.tank.metadata.snapshot()), "");
      });
    }
  }
}

// What was acknowledged has nothing to do with a block that nobody can read.
TEST(ThinDamage, FoundByALookupCommitsWhatIsOpen) {
  for_seeds(20, [](sim::Execution& execution, std::uint64_t) {
    sim::DiskImageRef metadata;
    sim::DiskImageRef data;
    {
      Opened opened{execution};
      PoolTank& tank = opened.tank;
      EXPECT_EQ(tank.write(2, kBlock, 1, 77), Errc::ok);
      opened.damage_thin_0();
      EXPECT_EQ(tank.read(0, 0), kUnread);
      EXPECT_TRUE(tank.status_has(kBroken));
      EXPECT_EQ(tank.read(2, kBlock), 77U);
      EXPECT_EQ(tank.flush(2), Errc::ok);
      EXPECT_EQ(tank.write(2, 3 * kBlock, 1, 78), Errc::io_error);
      EXPECT_EQ(tank.message("create_thin 9"), Errc::not_supported);
      tank.expect_idle();
      metadata = tank.metadata.durable_snapshot();
      data = tank.data.durable_snapshot();
    }
    PoolTank tank{execution, {.metadata = metadata, .data = data, .options = kSmall}};
    tank.make_pool("", 96);
    EXPECT_TRUE(tank.status_has(kBroken));
    pdata::must(tank.activate(2, kThinBlocks));
    EXPECT_EQ(tank.read(2, kBlock), 77U);
  });
}

// An abort would have to read the details, too, and fail all thins.
TEST(ThinDamage, FoundByALookupLeavesTheOthersAlone) {
  for_seeds(20, [](sim::Execution& execution, std::uint64_t) {
    Opened opened{execution};
    PoolTank& tank = opened.tank;
    opened.damage_thin_0();
    for (const std::uint64_t block : opened.blocks.kinds.at("details tree"))
      damage(tank, block);
    EXPECT_EQ(tank.read(0, 0), kUnread);
    EXPECT_TRUE(tank.status_has(kBroken));
    for (std::uint64_t block = 0; block < kThinBlocks; ++block)
      EXPECT_EQ(tank.read(2, block * kBlock), expected(2, block));
    tank.expect_idle();
  });
}

// Then nothing that is open can be made durable any more.
TEST(ThinDamage, FoundWhileTheDataDeviceDoesNotFlushAborts) {
  for_seeds(20, [](sim::Execution& execution, std::uint64_t) {
    Opened opened{execution};
    PoolTank& tank = opened.tank;
    EXPECT_EQ(tank.write(2, kBlock, 1, 77), Errc::ok);
    tank.data.faults().rules.push_back({.ops = sim::kFlushes, .one_in = 1, .count_max = 1000});
    opened.damage_thin_0();
    EXPECT_EQ(tank.read(0, 0), kUnread);
    EXPECT_TRUE(tank.status_has(kBroken));
    tank.data.faults().rules.clear();
    EXPECT_EQ(tank.read(2, kBlock), 0U);
    EXPECT_EQ(tank.flush(2), Errc::io_error);
    tank.expect_idle();
  });
}

TEST(ThinDamage, FoundByADiscardCountsLikewise) {
  for_seeds(20, [](sim::Execution& execution, std::uint64_t) {
    Opened opened{execution};
    PoolTank& tank = opened.tank;
    opened.damage_thin_0();
    EXPECT_EQ(tank.discard(0, 0, kThinBlocks * kBlock), Errc::io_error);
    EXPECT_TRUE(tank.status_has(kBroken));
    EXPECT_EQ(tank.read(2, 0), value_of(2, 0));
    tank.expect_idle();
  });
}

// A leaf in memory: what it says of block 0 is sound, and of block 2 it is not. The request is
// answered in its submitter's context otherwise.
TEST(ThinDamage, FoundOnTheFastPathIsToldToTheWorker) {
  for_seeds(20, [](sim::Execution& execution, std::uint64_t) {
    Opened opened{execution};
    PoolTank& tank = opened.tank;
    AlignedBuffer buffer{kMetaBlockSize};
    opened.image->read(first_sector(MetaBlock{opened.blocks.leaves[2]}), buffer.bytes());
    const std::size_t values = 32 + std::size_t{8} * 6;
    const Le64 beyond = encode_block_time({.block = DataBlock{5000}});
    std::memcpy(buffer.data() + values + 8, &beyond, sizeof beyond);
    pdata::kNodeValidator.prepare(MetaBlock{opened.blocks.leaves[2]}, buffer.bytes());
    Bio bio;
    bio.op = BioOp::write;
    bio.sector = first_sector(MetaBlock{opened.blocks.leaves[2]});
    bio.sectors = kMetaBlockSectors;
    bio.data = buffer.data();
    EXPECT_TRUE(submit_and_wait(tank.metadata, bio));
    EXPECT_EQ(tank.read(2, 0), value_of(2, 0));
    EXPECT_TRUE(tank.status_has(" rw "));
    EXPECT_EQ(tank.read(2, 0), value_of(2, 0));
    EXPECT_EQ(tank.read(2, 2 * kBlock), kUnread);
    EXPECT_TRUE(tank.status_has(kBroken));
    EXPECT_EQ(tank.read(2, 0), value_of(2, 0));
    tank.expect_idle();
  });
}

// Nobody's request met it, and nothing was to be changed.
TEST(ThinDamage, FoundByAnActivationOrAStatusLineIsToldThere) {
  for_seeds(20, [](sim::Execution& execution, std::uint64_t) {
    Opened opened{execution, kThins - 1};
    PoolTank& tank = opened.tank;
    for (std::uint32_t thin = 0; thin < kThins - 1; ++thin) {   // which leaves no room for others
      for (std::uint64_t block = 0; block < kThinBlocks; ++block)
        EXPECT_EQ(tank.read(thin, block * kBlock), expected(thin, block));
    }
    for (const char* const kind : {"mapping tree", "details tree"}) {
      for (const std::uint64_t block : opened.blocks.kinds.at(kind))
        damage(tank, block);
    }
    EXPECT_NE(pdata::must(tank.system.status("t2")).find(" Error"), std::string::npos);
    EXPECT_TRUE(tank.status_has(" rw "));
    const auto refused = tank.activate(4, kThinBlocks);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::corrupt);
    EXPECT_TRUE(tank.status_has(" rw "));
    tank.expect_idle();
  });
}

// Which may be a cable's fault: the next one works.
TEST(ThinDamage, IsNotWhatAReadErrorIs) {
  for_seeds(20, [](sim::Execution& execution, std::uint64_t) {
    Opened opened{execution};
    PoolTank& tank = opened.tank;
    tank.metadata.faults().rules.push_back({.ops = sim::kReads, .one_in = 1, .count_max = 1});
    EXPECT_EQ(unread(tank), 1U);
    EXPECT_TRUE(tank.status_has(" rw "));
    EXPECT_EQ(unread(tank), 0U);
  });
}

TEST(ThinDamage, OfTheSuperblockTooIsTheEnd) {
  for_seeds(20, [](sim::Execution& execution, std::uint64_t) {
    Opened opened{execution};
    damage(opened.tank, 0);
    opened.damage_thin_0();
    EXPECT_EQ(opened.tank.read(0, 0), kUnread);
    EXPECT_EQ(opened.tank.status(), fmt::format("0 {} thin-pool Fail\n", 96 * kBlock));
    opened.tank.expect_idle();
  });
}

// Whatever meets it at once, everything ends.
TEST(ThinDamage, EveryBioEndsWhoeverMeetsIt) {
  for_seeds(120, [](sim::Execution& execution, std::uint64_t seed) {
    Opened opened{execution};
    PoolTank& tank = opened.tank;
    std::vector<std::uint64_t> all_blocks;
    for (const auto& [kind, some] : opened.blocks.kinds)
      all_blocks.insert(all_blocks.end(), some.begin(), some.end());
    damage(tank, all_blocks[seed % all_blocks.size()]);
    Together all{execution};
    all.run("a", [&] {
      for (std::uint64_t block = 0; block < kThinBlocks; block += 3)
        static_cast<void>(tank.read(0, block * kBlock));
    });
    all.run("b", [&] { static_cast<void>(tank.write(1, 14 * kBlock, 2 * kBlock, 3, true)); });
    all.run("c", [&] { static_cast<void>(tank.discard(0, 0, kThinBlocks * kBlock)); });
    all.run("d", [&] { static_cast<void>(tank.write(2, kBlock, kBlock, 4)); });
    all.run("e", [&] { static_cast<void>(tank.flush(1)); });
    all.run("f", [&] { static_cast<void>(tank.message("create_snap 9 2")); });
    all.wait();
    static_cast<void>(tank.status());
    tank.expect_idle();
  });
}

}   // namespace
}   // namespace engine::thin
