// The metadata of caches is opened and closed again and again, while other tables want the same or
// other metadata, and one of the disks is slow or fails. One object stands for each disk, what one
// life has written the next one reads, and nobody waits for metadata that is not theirs.
#include <array>
#include <chrono>

#include "engine/fiber/timer.h"
#include "sim/rng.h"
#include "tests/unit/cache/cache_tank.h"
#include "tests/unit/cache/metadata_tank.h"

namespace engine::cache {
namespace {

constexpr std::uint64_t kSeeds = 200;
constexpr int kLives = 4;
constexpr std::uint64_t kOriginBlocks = 8;
constexpr Nanos kSlow = std::chrono::seconds{1};

// The disks of a cache. Whoever lives there notes what the first sector holds.
struct Place {
  const char* metadata;
  const char* fast;
  const char* origin;
  unit::Note<std::uint64_t> last{kOldData};
  unit::Note<int> serving{0};
};

class Lives {
 public:
  Lives(sim::Execution& execution, std::uint64_t seed)
      : execution_{execution},
        dice_{seed},
        metadata_{execution,
                  "metadata2",
                  {.sectors = 64 * kMetaBlockSectors, .logical_block_sectors = kMetaBlockSectors}},
        fast_{execution, "fast2", {.image = CacheTank::numbered(2 * kBlock, kOldFast)}},
        origin_{
            execution, "origin2", {.image = CacheTank::numbered(kOriginBlocks * kBlock, kOldData)}},
        tank_{execution} {
    tank_.more = {{"metadata2", &metadata_}, {"fast2", &fast_}, {"origin2", &origin_}};
    tank_.metadata.latency() = {.usual = kSlow};
    for (sim::SimDevice* const disk : {&tank_.metadata, &metadata_}) {
      if (dice_.one_in(3)) disk->faults().rules.push_back({.ops = sim::kReads, .one_in = 12});
    }
  }

  // So many who want the slow metadata, and the other.
  void live(std::size_t slow, std::size_t others) {
    ASSERT_LE(slow + others, kNames.size());
    most_ = (slow != 0 ? 1 : 0) + (others != 0 ? 1 : 0);
    Together together{execution_};
    for (std::size_t i = 0; i < slow + others; ++i) {
      together.run(kNames[i], [this, i, slow] {
        for (int life = 0; life < kLives; ++life) {
          const Nanos begun = execution_.now();
          live_once(kNames[i], i < slow ? slow_ : other_);
          if (i >= slow) {
            EXPECT_EQ(execution_.now(), begun) << kNames[i] << " had to wait";
          }
        }
        ++ended_;
      });
    }
    together.run("monitor", [this, all = static_cast<int>(slow + others)] {
      for (; ended_ < all; sleep_for(kSlow / 10)) {
        const Nanos begun = execution_.now();
        EXPECT_LE(open(), most_) << "two at once on one device";
        EXPECT_EQ(execution_.now(), begun) << "who asks how many there are had to wait";
      }
    });
    together.wait();
    EXPECT_EQ(open(), 0U);
    for (const sim::SimDevice* const disk : {&tank_.metadata, &metadata_}) {
      const sim::DiskImageRef image = disk->snapshot();
      if (image->page(0) == nullptr) continue;   // nobody wanted it
      ImageSource source{*image};
      const auto report = checkers::image::check_cache(source, {.origin_blocks = kOriginBlocks});
      EXPECT_TRUE(report.readable && report.findings.empty());
    }
  }
  [[nodiscard]] int served() const noexcept { return served_; }
  [[nodiscard]] int refused() const noexcept { return refused_; }

 private:
  static constexpr std::array kNames{"one", "two", "three", "four"};

  [[nodiscard]] std::size_t open() { return tank_.targets.metadata().open_metadata(); }

  // Opens, and serves unless somebody else does.
  void live_once(const char* device, Place& place) {
    const auto made = tank_.system.create_with_table(
        device, fmt::format("0 {} cache {} {} {} {} 1 writeback eager 0", kOriginBlocks * kBlock,
                            place.metadata, place.fast, place.origin, kBlock));
    EXPECT_LE(open(), most_) << "two at once on one device";
    if (!made) {
      const Errc code = made.error().code;
      EXPECT_TRUE(code == Errc::busy || code == Errc::io_error || code == Errc::failed ||
                  code == Errc::read_only)
          << made.error().what;
      ++refused_;
      return;
    }
    EXPECT_EQ(++place.serving, 1) << "two serve " << place.metadata;
    EXPECT_EQ(tank_.read(0, device), place.last) << place.metadata;
    const std::uint64_t value = ++written_;
    EXPECT_EQ(tank_.write(0, 1, value, false, device), Errc::ok);
    place.last = value;
    EXPECT_EQ(tank_.read(0, device), value);
    --place.serving;
    EXPECT_TRUE(tank_.system.remove(device));
    ++served_;
  }

  sim::Execution& execution_;
  sim::Rng dice_;
  sim::SimDevice metadata_;
  sim::SimDevice fast_;
  sim::SimDevice origin_;
  Place slow_{.metadata = "metadata", .fast = "fast", .origin = "origin"};
  Place other_{.metadata = "metadata2", .fast = "fast2", .origin = "origin2"};
  std::size_t most_ = 0;   // metadata devices that anybody wants
  unit::Note<std::uint64_t> written_{0};
  unit::Note<int> ended_{0};
  unit::Note<int> served_{0};
  unit::Note<int> refused_{0};
  CacheTank tank_;
};

void live_under_seeds(std::size_t slow, std::size_t others) {
  int served = 0;
  int refused = 0;
  for_seeds(kSeeds, [&](sim::Execution& execution, std::uint64_t seed) {
    Lives lives{execution, seed};
    lives.live(slow, others);
    served += lives.served();
    refused += lives.refused();
  });
  EXPECT_GT(served, 0);
  EXPECT_GT(refused, 0);
}

TEST(CacheLives, MetadataThatSeveralWantIsOpenOnce) {
  live_under_seeds(3, 0);
}

TEST(CacheLives, NobodyWaitsForMetadataThatIsNotTheirs) {
  live_under_seeds(2, 2);
}

}   // namespace
}   // namespace engine::cache
