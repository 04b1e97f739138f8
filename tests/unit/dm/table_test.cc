#include "engine/dm/table.h"

#include "engine/io/splitter.h"
#include "tests/unit/dm/rig.h"

namespace engine::dm {
namespace {

TEST(Table, RefusesWhatIsNotATableAndNamesTheLine) {
  unit::for_seeds(1, [](sim::Execution& execution, std::uint64_t) {
    unit::Rig rig{execution};
    ASSERT_TRUE(rig.system.create("d"));
    const auto wrong = [&](std::string_view table) {
      const auto loaded = rig.system.load("d", table);
      return loaded ? std::string{"loaded"} : describe_table_error(table, loaded.error());
    };
    EXPECT_EQ(wrong(""), "table line 1 (\"\"): the table is empty");
    EXPECT_EQ(wrong("# nothing\n\n"), "table line 1 (\"# nothing\"): the table is empty");
    EXPECT_EQ(wrong("0 8"), "table line 1 (\"0 8\"): not <start> <sectors> <type> <arguments>");
    EXPECT_EQ(wrong("x 8 zero"), "table line 1 (\"x 8 zero\"): the start sector is not a number");
    EXPECT_EQ(wrong("0 -8 zero"),
              "table line 1 (\"0 -8 zero\"): the number of sectors is not a number");
    EXPECT_EQ(wrong("0 0 zero"), "table line 1 (\"0 0 zero\"): zero-length target");
    EXPECT_EQ(wrong("0 8 zero\n9 8 zero"), "table line 2 (\"9 8 zero\"): Gap in table");
    EXPECT_EQ(wrong("0 8 zero\n7 8 zero"), "table line 2 (\"7 8 zero\"): Gap in table");
    EXPECT_EQ(wrong("0 18446744073709551615 zero"),
              "table line 1 (\"0 18446744073709551615 zero\"): the target is too long");
    EXPECT_EQ(wrong("0 8 zoro"), "table line 1 (\"0 8 zoro\"): unknown target type");
    EXPECT_EQ(wrong("0 8 zero 1"), "table line 1 (\"0 8 zero 1\"): No arguments required");
    EXPECT_EQ(wrong("0 8 linear a"), "table line 1 (\"0 8 linear a\"): Invalid argument count");
    EXPECT_EQ(wrong("0 8 linear a 1x"),
              "table line 1 (\"0 8 linear a 1x\"): Invalid device sector");
    EXPECT_EQ(wrong("0 8 linear c 0"), "table line 1 (\"0 8 linear c 0\"): Device lookup failed");
    EXPECT_EQ(wrong("0 8 linear a 1017"),
              "table line 1 (\"0 8 linear a 1017\"): device too small for target");
    EXPECT_EQ(wrong("0 8 linear a 18446744073709551615"),
              "table line 1 (\"0 8 linear a 18446744073709551615\"): device too small for target");
    EXPECT_EQ(wrong("0 8 linear d 0"), "table line 1 (\"0 8 linear d 0\"): Device lookup failed");
    EXPECT_FALSE(rig.system.info("d")->has_inactive_table);
    EXPECT_EQ(wrong("  0 1024\tlinear a 0  \n# more\n1024 8 error"), "loaded");
    EXPECT_TRUE(rig.system.info("d")->has_inactive_table);
  });
}

TEST(Table, IsWrittenAsItWasRead) {
  unit::for_seeds(1, [](sim::Execution& execution, std::uint64_t) {
    unit::Rig rig{execution};
    auto device = rig.make("d", "0 100 linear a 7\n100 50 zero\n150 1 error");
    EXPECT_EQ(*rig.system.table("d"), "0 100 linear a 7\n100 50 zero \n150 1 error \n");
    EXPECT_EQ(*rig.system.status("d"), "0 100 linear \n100 50 zero \n150 1 error \n");
    EXPECT_EQ(device.device().limits().sectors, 151U);
    EXPECT_EQ(device.device().limits().discard_sectors_max, 0U);   // two of them take none
    EXPECT_EQ(rig.system.message("d", Sector{0}, "hello").error().code, Errc::invalid);
    EXPECT_EQ(rig.system.message("d", Sector{151}, "hello").error().code, Errc::invalid);
  });
}

TEST(Table, RefusesTargetsThatCutLogicalBlocks) {
  unit::for_seeds(1, [](sim::Execution& execution, std::uint64_t) {
    unit::Rig rig{execution, {.sectors = 1024, .logical_block_sectors = 8}};
    ASSERT_TRUE(rig.system.create("d"));
    EXPECT_FALSE(rig.system.load("d", "0 12 linear a 0"));
    EXPECT_TRUE(rig.system.load("d", "0 16 linear a 0"));
  });
}

// Every piece is within its limits, and the pieces of a request are all of it.
TEST(Splitter, CutsAtTargetsBlocksAndLimits) {
  sim::Rng rng{7};
  for (int round = 0; round < 20'000; ++round) {
    io::TargetLimits limits;
    limits.block_sectors = rng.one_in(3) ? 0 : 1 + rng.below(20);
    limits.transfer_sectors_max = 1 + rng.below(40);
    limits.discard_granularity_sectors = 1 + rng.below(8);
    limits.discard_sectors_max = rng.one_in(3) ? 0 : 1 + rng.below(40);
    const std::uint64_t target = 1 + rng.below(200);
    const std::uint64_t offset = rng.below(static_cast<std::uint32_t>(target));
    const std::uint64_t wanted = 1 + rng.below(300);
    const auto op = static_cast<BioOp>(rng.below(4));
    const std::uint64_t sectors = io::piece_sectors(op, offset, wanted, target, limits);
    ASSERT_GE(sectors, 1U);
    ASSERT_LE(sectors, wanted);
    ASSERT_LE(offset + sectors, target);
    if (op == BioOp::discard) {
      if (limits.discard_sectors_max != 0) {
        ASSERT_LE(sectors, limits.discard_sectors_max);
        const std::uint64_t granularity = limits.discard_granularity_sectors;
        // Where it was cut for its length alone, it ends with a whole granule, if it can.
        if (sectors < std::min(wanted, target - offset) &&
            (offset + limits.discard_sectors_max) / granularity > offset / granularity) {
          ASSERT_EQ((offset + sectors) % granularity, 0U);
        }
      }
    } else {
      if (limits.block_sectors != 0) {
        ASSERT_EQ(offset / limits.block_sectors, (offset + sectors - 1) / limits.block_sectors);
      }
      if (op != BioOp::write_zeroes) {
        ASSERT_LE(sectors, limits.transfer_sectors_max);
      }
    }
  }
}

}   // namespace
}   // namespace engine::dm
