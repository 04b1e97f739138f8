// Every word of every block set to odd values, with checksums right: opening and using the pool may
// fail in any way but must not crash, run wild or wait for itself.
#include <array>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/sparse.h"
#include "tests/unit/thin/metadata_tank.h"

namespace engine::thin {
namespace {

// Three levels of nodes, shared leaves, counts of three and more, a metadata snapshot.
void attacked_history(Metadata& metadata) {
  must(metadata.resize_data(300));
  must(metadata.create_thin(ThinId{1}));
  OpenThin* const device = must(metadata.open_device(ThinId{1}));
  for (std::uint64_t i = 0; i < 60; ++i)
    must(provision(metadata, *device, i * 3));
  for (std::uint32_t id = 2; id < 9; ++id) {
    must(metadata.create_snap(ThinId{id}, ThinId{1}));
    must(provision(metadata, *device, id * 5));
  }
  metadata.close_device(*device);
  must(metadata.reserve_metadata_snapshot());
  must(metadata.set_transaction_id(0, 3));
}

// All that a pool does, errors ignored.
void use(sim::SimDevice& device, std::uint32_t fan_out) {
  auto opened = Metadata::open(device, small_options(fan_out));
  if (!opened) return;
  Metadata& metadata = **opened;
  std::vector<OpenThin*> devices;
  for (std::uint32_t id = 0; id < 9; ++id) {
    if (auto thin = metadata.open_device(ThinId{id})) devices.push_back(*thin);
  }
  const auto change = [&](auto&& result) {
    if (!result && !metadata.failed()) (void)metadata.abort();
  };
  for (OpenThin* const thin : devices) {
    (void)metadata.lookup(*thin, VirtBlock{15});
    (void)metadata.lookup_cached(*thin, VirtBlock{15});
    (void)metadata.find_mapped_range(*thin, VirtBlock{0}, VirtBlock{1000});
    (void)metadata.highest_mapped(*thin);
  }
  if (!devices.empty()) {
    for (std::uint64_t i = 0; i < 6; ++i)
      change(provision(metadata, *devices[0], i * 11));
    change(metadata.remove_range(*devices[0], VirtBlock{20}, VirtBlock{100}));
    change(metadata.remove_range(*devices.back(), VirtBlock{0},
                                 VirtBlock{std::numeric_limits<std::uint64_t>::max()}));
  }
  change(metadata.commit());
  change(metadata.create_snap(ThinId{20}, ThinId{1}));
  change(metadata.create_thin(ThinId{21}));
  change(metadata.commit());
  change(metadata.release_metadata_snapshot());
  for (OpenThin* const thin : devices)
    metadata.close_device(*thin);
  for (std::uint32_t id = 1; id < 9; id += 2)
    change(metadata.delete_device(ThinId{id}));
  change(metadata.resize_data(20000));
  change(metadata.commit());
  change(metadata.set_needs_check());
  (void)metadata.close();
}

const pdata::Validator* validator_of(std::uint64_t block, ConstBytes bytes) {
  static constexpr std::array<const pdata::Validator*, 4> kAll{
      &pdata::kNodeValidator, &pdata::kBitmapValidator, &pdata::kIndexValidator,
      &pdata::kSuperblockValidator};
  for (const pdata::Validator* const validator : kAll) {
    if (validator->check(MetaBlock{block}, bytes)) return validator;
  }
  return nullptr;
}

// Each `step`-th word.
void attack(std::uint32_t fan_out, std::size_t step) {
  const auto image = with_metadata({.blocks = 256}, small_options(fan_out), attacked_history);
  ASSERT_EQ(faults_of(*image), "");
  std::size_t attacks = 0;
  std::size_t words = 0;
  for (std::uint64_t block = 0; block < 256; ++block) {
    const auto original = pdata::block_bytes(*image, block);
    const pdata::Validator* const validator = validator_of(block, original);
    if (validator == nullptr) continue;
    // Words in use, and the header's.
    for (std::size_t at = 4; at < kMetaBlockSize; at += 4) {
      const auto before = view_as<Le32>(ConstBytes{original}.subspan(at)).value();
      if (at >= 32 && before == 0) continue;
      if (++words % step != 0) continue;
      for (const std::uint32_t odd : {0U, 1U, before + 1, before ^ 0x80U, 253U, 0xffffffffU}) {
        if (odd == before) continue;
        ++attacks;
        auto bytes = original;
        view_as<Le32>(MutableBytes{bytes}.subspan(at)) = odd;
        const std::uint64_t number = view_as<Le64>(ConstBytes{bytes}.subspan(8)).value();
        validator->prepare(MetaBlock{number}, bytes);
        auto changed = std::make_shared<sim::DiskImage>(*image);
        changed->write(first_sector(MetaBlock{block}), bytes);
        in_tank({.image = changed}, [&](sim::SimDevice& device) { use(device, fan_out); });
        if (::testing::Test::HasFailure()) {
          FAIL() << "block " << block << ", offset " << at << ": " << before << " -> " << odd;
        }
      }
    }
  }
  EXPECT_GT(attacks, 3000U / step);
  ::testing::Test::RecordProperty("attacks", static_cast<int>(attacks));
}

TEST(MetadataHostile, NoWordOfASmallPoolBreaksIt) {
  attack(6, 3 * unit::sparse());
}
TEST(MetadataHostile, NoWordOfALinuxPoolBreaksIt) {
  attack(0, 5 * unit::sparse());
}

}   // namespace
}   // namespace engine::thin
