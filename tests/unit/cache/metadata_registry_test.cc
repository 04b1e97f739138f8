// One object a device: whatever opens, fails to open, and closes at the same time.
#include "engine/cache/metadata_registry.h"

#include <set>

#include <gtest/gtest.h>

#include "engine/fiber/completion.h"
#include "tests/unit/cache/metadata_tank.h"

namespace engine::cache {
namespace {

// A mapped device in name.
class Owner final : public io::OwnerDevice {
 public:
  [[nodiscard]] std::string_view device_name() const noexcept override { return "owner"; }
  [[nodiscard]] BlockDevice& block_device() noexcept override { std::abort(); }
  void event() override {}
  [[nodiscard]] bool suspended() const noexcept override { return true; }
  void internal_suspend_noflush() override {}
  void internal_resume() override {}
  [[nodiscard]] std::size_t depth_over(const io::OwnerDevice& /*base*/) override { return 1; }
};

MetadataOptions options() {
  return options_for(2, 64);
}

TEST(CacheMetadataRegistry, TablesOfOneDeviceShareOneObject) {
  in_tank({}, [](sim::SimDevice& device) {
    MetadataRegistry registry;
    MetadataRef a = must(registry.open(device, options()));
    MetadataRef b = must(registry.open(device, options()));
    EXPECT_EQ(&*a, &*b);
    must(a->insert(CacheBlock{1}, OriginBlock{5}));
    EXPECT_EQ(mappings_of(*b).size(), 1) << "what A does, B sees";
    MetadataOptions other = options();
    other.data_block_sectors = 128;
    EXPECT_EQ(code_of(registry.open(device, other)), Errc::invalid);
    EXPECT_EQ(registry.open_metadata(), 1);
    a.reset();
    EXPECT_EQ(registry.open_metadata(), 1);
    EXPECT_EQ(mappings_of(*b).size(), 1);
    must(b->commit());
    must(b->insert(CacheBlock{2}, OriginBlock{6}));   // given up with the last reference
    b.reset();
    EXPECT_EQ(registry.open_metadata(), 0);
    MetadataRef again = must(registry.open(device, options()));
    EXPECT_EQ(mappings_of(*again).size(), 1);
  });
}

TEST(CacheMetadataRegistry, TwoActiveTablesAreRefused) {
  in_tank({}, [](sim::SimDevice& device) {
    MetadataRegistry registry;
    const Owner one;
    const Owner two;
    MetadataRef a = must(registry.open(device, options()));
    MetadataRef other = must(registry.open(device, options()));
    must(a.activate(one));
    EXPECT_EQ(code_of(other.activate(two)), Errc::busy);
    must(a.activate(one));   // suspended and resumed
    // Another table of the same device takes over; the one before may go before or after.
    MetadataRef next = must(registry.open(device, options()));
    must(next.activate(one));
    EXPECT_EQ(code_of(other.activate(two)), Errc::busy);
    a.reset();
    EXPECT_EQ(code_of(other.activate(two)), Errc::busy);
    next.reset();
    must(other.activate(two));
  });
}

TEST(CacheMetadataRegistry, TwoRowsOfOneTableAreRefused) {
  in_tank({}, [](sim::SimDevice& device) {
    MetadataRegistry registry;
    const Owner owner;
    MetadataRef before = must(registry.open(device, options()));
    must(before.activate(owner));
    MetadataRef first = must(registry.open(device, options()));
    MetadataRef second = must(registry.open(device, options()));
    must(first.activate(owner));
    EXPECT_EQ(code_of(second.activate(owner)), Errc::busy);
    // That resume has failed; a table without the mistake follows.
    MetadataRef fixed = must(registry.open(device, options()));
    must(fixed.activate(owner));
  });
}

TEST(CacheMetadataRegistry, AFailedOpenIsNeverSeen) {
  // A superblock that is none, then each transfer failing in turn.
  auto bad = std::make_shared<sim::DiskImage>(*example_image(2));
  auto bytes = pdata::block_bytes(*bad, 0);
  bytes[100] ^= std::byte{1};
  bad->write(Sector{0}, bytes);
  in_tank({.image = bad}, [](sim::SimDevice& device) {
    MetadataRegistry registry;
    EXPECT_EQ(code_of(registry.open(device, options())), Errc::corrupt);
    EXPECT_EQ(registry.open_metadata(), 0);
    EXPECT_EQ(code_of(registry.open(device, options())), Errc::corrupt);
  });
  int failures = 0;
  for (std::uint64_t nth = 1; nth < 40; ++nth) {
    const sim::FaultPlan faults{{{.nth = nth}}};
    in_tank({.faults = faults}, [&](sim::SimDevice& device) {
      MetadataRegistry registry;
      const auto opened = registry.open(device, options());
      failures += opened ? 0 : 1;
      EXPECT_EQ(registry.open_metadata(), opened ? 1U : 0U);
      // The next one works: whatever was written, it was no half of a format.
      if (!opened) must(registry.open(device, options()));
    });
  }
  EXPECT_GT(failures, 3);
}

TEST(CacheMetadataRegistry, AnObjectThatFailedIsNotGivenOut) {
  in_tank({}, [](sim::SimDevice& device) {
    MetadataRegistry registry;
    MetadataRef a = must(registry.open(device, options()));
    a->fail_now();
    EXPECT_EQ(code_of(registry.open(device, options())), Errc::failed);
    a.reset();
    must(registry.open(device, options()));
  });
}

// Openers and closers of two devices, one of them with failing reads, under many schedules: what
// one has inserted every later one finds, and nobody finds what is gone.
TEST(CacheMetadataRegistry, OpenAndCloseInAnyOrder) {
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    const sim::FaultPlan faults{{{.ops = sim::kReads, .one_in = 6, .count_max = seed % 3}}};
    const auto image = in_tank(
        {.seed = seed, .image = example_image(2), .faults = faults}, [&](sim::SimDevice& device) {
          MetadataRegistry registry;
          Completion all_done{"openers", 3};
          for (std::uint32_t fiber = 0; fiber < 3; ++fiber) {
            current_executor().spawn("opener", [&, fiber] {
              for (std::uint32_t round = 0; round < 4; ++round) {
                auto opened = registry.open(device, options());
                if (opened) {
                  MetadataRef ref = std::move(*opened);
                  EXPECT_EQ(registry.open_metadata(), 1) << "two at once on one device";
                  const CacheBlock block{fiber * 4 + round + 14};
                  if (block.value() % 13 != 0) {
                    const auto inserted = ref->insert(block, OriginBlock{3000 + block.value()});
                    if (inserted && !ref->commit()) (void)ref->abort();
                    if (!inserted && !ref->failed()) (void)ref->abort();
                  }
                  yield_now();
                  if (auto mappings = ref->load_mappings(kTestPolicy, kTestOriginBlocks)) {
                    EXPECT_GE(mappings->size(), 40);
                  }
                } else {
                  EXPECT_TRUE(code_of(opened) == Errc::io_error || code_of(opened) == Errc::failed);
                }
              }
              all_done.signal();
            });
          }
          all_done.wait();
          EXPECT_EQ(registry.open_metadata(), 0) << "seed " << seed;
        });
    ASSERT_EQ(faults_of(*image), "") << "seed " << seed;
    ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed;
  }
}

}   // namespace
}   // namespace engine::cache
