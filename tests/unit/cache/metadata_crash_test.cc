// Power cuts and failing transfers at every moment of a history: what is left is the last commit or
// the one under way, whole, with every count exact and the mark of a clean shutdown only where it
// is true.
#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/cache/metadata_history.h"
#include "tests/unit/cache/metadata_tank.h"

namespace engine::cache {
namespace {

std::string describe(const std::vector<StoredMapping>& mappings, bool clean,
                     std::uint32_t cache_blocks) {
  std::string text = fmt::format("{} blocks{}:", cache_blocks, clean ? ", clean" : "");
  for (const StoredMapping& mapping : mappings) {
    text += fmt::format(" {}>{}", mapping.block, mapping.origin);
    if (clean) text += fmt::format("{}{}", mapping.dirty ? "d" : "c", mapping.hint.value_or(999));
  }
  return text;
}
std::string describe(Metadata& metadata) {
  return describe(mappings_of(metadata), must(metadata.clean()), must(metadata.cache_blocks()));
}
std::string describe(const sim::DiskImage& image, Shape shape) {
  const auto report = report_of(image, shape);
  std::vector<StoredMapping> mappings;
  for (const auto& mapping : report.mappings)
    mappings.push_back({.block = CacheBlock{mapping.cache_block},
                        .origin = OriginBlock{mapping.origin_block},
                        .dirty = mapping.dirty,
                        .hint = mapping.hint});
  return describe(mappings, report.superblock.clean(), report.superblock.cache_blocks);
}

class CacheMetadataCrash : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  [[nodiscard]] MetadataOptions options() const {
    return options_for(GetParam(), 60, Shape::small);
  }
  [[nodiscard]] sim::DiskImageRef fresh() const {
    return with_metadata({.blocks = 256}, options(), [](Metadata&) {});
  }
  // In order, the first being that of `fresh`.
  [[nodiscard]] std::vector<std::string> committed_states() const {
    std::vector<std::string> all{describe(*fresh(), Shape::small)};
    in_tank({.image = fresh()}, [&](sim::SimDevice& device) {
      const auto metadata = must(Metadata::open(device, options()));
      must(history(*metadata, [&] { all.push_back(describe(*metadata)); }));
      metadata->close();
    });
    return all;
  }
};
INSTANTIATE_TEST_SUITE_P(Versions, CacheMetadataCrash, ::testing::Values(1U, 2U));

TEST_P(CacheMetadataCrash, APowerCutLeavesACommitWhole) {
  const std::vector<std::string> all = committed_states();
  ASSERT_GT(all.size(), 15U);
  const sim::DiskImageRef start = fresh();
  std::vector<int> seen(all.size());
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    std::size_t acknowledged = 0;
    const auto image = in_tank({.seed = seed, .image = start}, [&](sim::SimDevice& device) {
      current_executor().spawn("cut", [&device, seed] {
        for (std::uint64_t i = 0; i < seed * 37 % 2600; ++i)
          yield_now();
        device.power_cut();
      });
      auto metadata = Metadata::open(device, options());
      if (!metadata) return;
      const Result<void> result = history(**metadata, [&] { ++acknowledged; });
      if (!result) {
        EXPECT_EQ(code_of(result), Errc::power_lost);
      }
    });
    ASSERT_EQ(faults_of(*image, Shape::small), "") << "seed " << seed;
    const std::string left = describe(*image, Shape::small);
    // A shutdown first commits what was open, here nothing; so at most one step ahead.
    const bool known = left == all[acknowledged] ||
                       (acknowledged + 1 < all.size() && left == all[acknowledged + 1]);
    EXPECT_TRUE(known) << "seed " << seed << ", " << acknowledged << " acknowledged\n" << left;
    ++seen[acknowledged];
  }
  // The cuts are spread over the whole history.
  EXPECT_GT(std::count_if(seen.begin(), seen.end(), [](int count) { return count > 0; }), 9);
}

// One transfer fails. An abort brings back what is on the disk, and everything works again.
TEST_P(CacheMetadataCrash, AFailedTransferLosesOnlyTheOpenTransaction) {
  const std::vector<std::string> all = committed_states();
  const sim::DiskImageRef start = fresh();
  int failures = 0;
  for (std::uint64_t nth = 1; nth < 400; ++nth) {
    bool failed = false;
    const sim::FaultPlan faults{{{.nth = nth}}};
    const auto image =
        in_tank({.seed = nth, .image = start, .faults = faults}, [&](sim::SimDevice& device) {
          MetadataOptions with_memory = options();
          with_memory.memory_blocks = nth % 2 == 0 ? 0 : 10;
          auto opened = Metadata::open(device, with_memory);
          if (!opened) {
            failed = true;
            EXPECT_EQ(code_of(opened), Errc::io_error);
            return;
          }
          Metadata& metadata = **opened;
          const Result<void> result = history(metadata, [] {});
          if (result) {
            metadata.close();
            return;
          }
          failed = true;
          EXPECT_EQ(code_of(result), Errc::io_error) << "transfer " << nth;
          must(metadata.abort());
          EXPECT_NE(std::find(all.begin(), all.end(), describe(metadata)), all.end());
          must(metadata.set_needs_check());
          metadata.close();
        });
    if (!failed) break;
    ++failures;
    ASSERT_EQ(faults_of(*image, Shape::small), "") << "transfer " << nth;
    EXPECT_NE(std::find(all.begin(), all.end(), describe(*image, Shape::small)), all.end())
        << "transfer " << nth;
  }
  EXPECT_GT(failures, 30);
}

// A write that failed may be read back all the same, and not be durable.
TEST_P(CacheMetadataCrash, TheMarkIsGoneDurablyAlsoWhenItTookTwoTries) {
  const sim::DiskImageRef clean = example_image(GetParam());
  ASSERT_TRUE(report_of(*clean).superblock.clean());
  int failures = 0;
  for (std::uint64_t nth = 1; nth <= 4; ++nth) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      const sim::FaultPlan faults{{{.ops = sim::kFlushes | sim::kWrites, .nth = nth}}};
      const auto left =
          in_tank({.seed = seed, .image = clean, .faults = faults}, [&](sim::SimDevice& device) {
            const auto metadata = must(Metadata::open(device, options_for(GetParam(), 512)));
            if (!metadata->begin_service()) {
              ++failures;
              must(metadata->abort());
              must(metadata->begin_service());
            }
            device.power_cut();
            metadata->close();
          });
      ASSERT_FALSE(report_of(*left).superblock.clean()) << "transfer " << nth << ", seed " << seed;
    }
  }
  EXPECT_GT(failures, 20);
}

}   // namespace
}   // namespace engine::cache
