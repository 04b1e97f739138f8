// Lookups by several fibers while another changes, commits and aborts: each sees one moment.
#include <atomic>
#include <vector>

#include <gtest/gtest.h>

#include "engine/fiber/completion.h"
#include "tests/unit/thin/metadata_tank.h"

namespace engine::thin {
namespace {

constexpr std::uint64_t kStable = 40;   // mapped to [0, kStable) for good
constexpr std::uint64_t kReaders = 3;

sim::DiskImageRef prepared() {
  static const sim::DiskImageRef image =
      with_metadata({.blocks = 512}, small_options(6), [](Metadata& metadata) {
        must(metadata.resize_data(500));
        must(metadata.create_thin(ThinId{1}));
        OpenThin* const device = must(metadata.open_device(ThinId{1}));
        for (std::uint64_t i = 0; i < kStable; ++i)
          must(provision(metadata, *device, i));
        metadata.close_device(*device);
      });
  return image;
}

void change(Metadata& metadata, OpenThin& device) {
  for (std::uint32_t round = 0; round < 4; ++round) {
    for (std::uint64_t i = 0; i < 5; ++i)
      must(provision(metadata, device, 1000 + i * 7 * (round + 1)));
    must(metadata.create_snap(ThinId{10 + round}, ThinId{1}));
    must(round == 2 ? metadata.abort() : metadata.commit());
    must(metadata.remove_range(device, VirtBlock{1000}, VirtBlock{1020}));
    must(metadata.inc_data_range(DataBlock{7}, DataBlock{8}));
    must(metadata.dec_data_range(DataBlock{7}, DataBlock{8}));
  }
}

void look(Metadata& metadata, OpenThin& device, std::uint64_t reader,
          const std::atomic<bool>& done) {
  std::uint64_t answered = 0;
  for (std::uint64_t i = reader; !done.load(std::memory_order_relaxed); i += 3) {
    const std::uint64_t block = i % kStable;
    const auto cached = metadata.lookup_cached(device, VirtBlock{block});
    if (cached) {
      ENGINE_CHECK(cached->has_value(), "{} is not mapped", block);
      ENGINE_CHECK((*cached)->block == DataBlock{block}, "{} elsewhere", block);
    } else {
      ENGINE_CHECK(cached.error().code == Errc::would_block, "{}", to_string(cached.error().code));
    }
    if (i % 4 != 0) continue;
    const auto found = must(metadata.lookup(device, VirtBlock{block}));
    ENGINE_CHECK(found && found->block == DataBlock{block}, "{} elsewhere", block);
    // Blocks of one age: whatever snapshots come, all of them are shared, or none is.
    const auto run = must(metadata.find_mapped_range(device, VirtBlock{10}, VirtBlock{kStable}));
    ENGINE_CHECK(run.has_value());
    ENGINE_CHECK(run->begin == VirtBlock{10});
    ENGINE_CHECK(run->end == VirtBlock{kStable}, "a run cut at {}", run->end);
    ++answered;
  }
  ENGINE_CHECK(answered > 0);
}

TEST(MetadataConcurrency, LookupsSeeOneMoment) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const auto image = in_tank({.seed = seed, .image = prepared()}, [&](sim::SimDevice& device) {
      MetadataOptions options = small_options(6);
      options.cache_blocks = seed % 3 == 0 ? 12 : 0;
      const auto metadata = must(Metadata::open(device, options));
      OpenThin* const thin = must(metadata->open_device(ThinId{1}));
      Completion ended{"readers", kReaders};
      std::atomic<bool> done{false};   // orders nothing: bookkeeping of the test
      for (std::uint64_t reader = 0; reader < kReaders; ++reader) {
        current_executor().spawn("reader", [&, reader] {
          look(*metadata, *thin, reader, done);
          ended.signal();
        });
      }
      change(*metadata, *thin);
      done.store(true, std::memory_order_relaxed);
      ended.wait();
      metadata->close_device(*thin);
      must(metadata->close());
    });
    ASSERT_EQ(faults_of(*image), "") << "seed " << seed;
  }
}

// The table of open devices, counts and modes under everybody's feet.
TEST(MetadataConcurrency, FailModeCanComeAtAnyMoment) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    in_tank({.seed = seed, .image = prepared()}, [&](sim::SimDevice& device) {
      const auto metadata = must(Metadata::open(device, small_options(6)));
      OpenThin* const thin = must(metadata->open_device(ThinId{1}));
      Completion ended{"others", 2};
      current_executor().spawn("worker", [&] {
        for (std::uint64_t i = 0; i < 20 && !metadata->failed(); ++i) {
          (void)provision(*metadata, *thin, 2000 + i);
          (void)metadata->inc_data_range(DataBlock{i}, DataBlock{i + 3});
          (void)metadata->is_data_shared(DataBlock{i});
          (void)metadata->dec_data_range(DataBlock{i}, DataBlock{i + 3});
          (void)metadata->commit();
        }
        ended.signal();
      });
      current_executor().spawn("reader", [&] {
        for (std::uint64_t i = 0; i < 100 && !metadata->failed(); ++i) {
          (void)metadata->lookup_cached(*thin, VirtBlock{i % kStable});
          (void)metadata->lookup(*thin, VirtBlock{i % kStable});
          (void)metadata->free_data_blocks();
        }
        ended.signal();
      });
      for (std::uint64_t i = 0; i < seed * 13; ++i)
        yield_now();
      metadata->fail_now();
      ended.wait();
      metadata->close_device(*thin);
      must(metadata->close());
    });
  }
}

}   // namespace
}   // namespace engine::thin
