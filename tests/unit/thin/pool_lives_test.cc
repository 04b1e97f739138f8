// A pool lives again and again: shut down in order or with failing disks, or cut off, and opened
// from what is left, which may fail too. What is on its metadata disk between two lives is what
// the next one serves, and what was made durable is part of it.
#include <array>
#include <map>
#include <optional>
#include <set>

#include "sim/rng.h"
#include "tests/unit/thin/pool_tank.h"

namespace engine::thin {
namespace {

constexpr std::uint64_t kBlocks = 8;
constexpr int kLives = 6;

struct Disks {
  sim::DiskImageRef metadata;
  sim::DiskImageRef data;
};

// What the first sector of each block may read as: what was last made durable, or what was written
// since, none of which is certain.
class LivesModel {
 public:
  void wrote(std::uint64_t block, std::uint64_t value) { may_be_[block].insert(value); }
  void flushed(const std::map<std::uint64_t, std::uint64_t>& written) {
    for (const auto& [block, value] : written)
      may_be_[block] = {value};
  }
  void judge(std::uint64_t block, std::uint64_t value) const {
    const auto found = may_be_.find(block);
    EXPECT_TRUE(value == 0 ? found == may_be_.end() || found->second.contains(0)
                           : found != may_be_.end() && found->second.contains(value))
        << "block " << block << " reads as " << value;
  }
  // From here on nothing else comes back.
  void is(std::uint64_t block, std::uint64_t value) { may_be_[block] = {value}; }
  LivesModel() {
    for (std::uint64_t block = 0; block < kBlocks; ++block)
      may_be_[block] = {0};
  }

 private:
  std::map<std::uint64_t, std::set<std::uint64_t>> may_be_;
};

std::uint64_t first_word(const sim::DiskImage& image, std::uint64_t sector) {
  std::array<std::byte, kSectorSize> bytes{};
  image.read(Sector{sector}, bytes);
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

enum class End : std::uint8_t { orderly, failing, cut };

class Lives {
 public:
  Lives(sim::Execution& execution, std::uint64_t seed) : execution_{execution}, dice_{seed} {}

  void live() {
    for (int life = 0; life < kLives; ++life) {
      PoolTank tank{
          execution_,
          {.metadata = disks_.metadata,
           .data = disks_.data,
           .options = {.commit_interval = dice_.one_in(2) ? Nanos{0} : std::chrono::seconds{1}}}};
      if (!open(tank)) return;
      use(tank);
      end(tank);
      ASSERT_FALSE(testing::Test::HasFailure()) << "life " << life;
      if (needs_check()) return;   // it serves nothing new any more
    }
  }
  [[nodiscard]] int refused() const noexcept { return refused_; }

 private:
  static void strike(sim::SimDevice& disk, std::uint32_t ops, std::uint64_t nth) {
    disk.faults().rules.push_back({.ops = ops, .nth = nth});
  }
  static void heal(PoolTank& tank) {
    tank.metadata.faults().rules.clear();
    tank.data.faults().rules.clear();
  }

  // One transfer of a format or an opening fails; then none does.
  bool open(PoolTank& tank) {
    const std::string table = tank.pool_table(16, "");
    if (dice_.one_in(2)) strike(tank.metadata, sim::kAllOps, 1 + dice_.below(24));
    auto made = tank.system.create_with_table("pool", table);
    heal(tank);
    if (!made) {
      ++refused_;
      EXPECT_EQ(made.error().code, Errc::io_error);
      EXPECT_EQ(tank.targets.pools().open_pools(), 0U);
      made = tank.system.create_with_table("pool", table);
    }
    EXPECT_TRUE(made);
    if (!made || tank.status_has("needs_check")) return false;
    if (tank.message("create_thin 0") == Errc::ok) {
      EXPECT_TRUE(first_) << "the thin of a life before is gone";
    }
    first_ = false;
    EXPECT_TRUE(tank.activate(0, kBlocks));
    compare(tank);
    return !testing::Test::HasFailure();
  }

  // What the disks hold by themselves, and what the pool makes of it.
  void compare(PoolTank& tank) {
    std::map<std::uint64_t, std::uint64_t> mapped;
    if (disks_.metadata != nullptr) {
      const checkers::image::ThinDump dump = dump_of(*disks_.metadata);
      EXPECT_TRUE(dump.ok()) << dump.error;
      if (const checkers::image::DumpedDevice* const thin = dump.device(0)) {
        for (const checkers::image::ThinMapping& mapping : thin->mappings)
          mapped[mapping.virtual_block] = mapping.data_block;
      }
    }
    for (std::uint64_t block = 0; block < kBlocks; ++block) {
      const std::uint64_t value = tank.read(0, block * kBlock);
      const auto at = mapped.find(block);
      EXPECT_EQ(value, at == mapped.end() ? 0 : first_word(*disks_.data, at->second * kBlock))
          << "block " << block;
      model_.judge(block, value);
      model_.is(block, value);
    }
  }

  void use(PoolTank& tank) {
    end_ = static_cast<End>(dice_.below(3));
    std::optional<CutAt> cut;
    if (end_ == End::cut) cut.emplace(tank, sim::kAllOps, 1 + dice_.below(60));
    std::map<std::uint64_t, std::uint64_t> written;
    for (int i = 0; i < 10 && tank.metadata.powered(); ++i) {
      const std::uint64_t block = dice_.below(kBlocks);
      const std::uint32_t snapshot = 1 + dice_.below(3);
      switch (dice_.below(6)) {
        case 0:
          if (tank.flush(0) == Errc::ok) {
            model_.flushed(written);
            written.clear();
          }
          break;
        case 1:
          static_cast<void>(tank.message(fmt::format("create_snap {} 0", snapshot)));
          break;
        case 2:
          static_cast<void>(tank.message(fmt::format("delete {}", snapshot)));
          break;
        default:
          model_.wrote(block, ++last_value_);
          written.erase(block);   // nobody knows, should it fail
          if (tank.write(0, block * kBlock, 1, last_value_) == Errc::ok)
            written[block] = last_value_;
          break;
      }
    }
    if (cut && dice_.one_in(2)) cut->now();
    // Gone with the disks' caches, or written back by the shutdown.
    finish(tank);
  }

  void finish(PoolTank& tank) {
    if (end_ == End::failing) {
      strike(tank.metadata, sim::kWrites | sim::kFlushes, 1 + dice_.below(8));
      if (dice_.one_in(2)) strike(tank.data, sim::kFlushes, 1 + dice_.below(2));
    }
    EXPECT_TRUE(tank.system.remove_all());
    heal(tank);
  }

  void end(PoolTank& tank) {
    const bool lost = !tank.metadata.powered();
    disks_ = {lost ? tank.metadata.crash_image() : tank.metadata.snapshot(),
              lost ? tank.data.crash_image() : tank.data.snapshot()};
    EXPECT_EQ(faults_of(*disks_.metadata), "");
  }

  [[nodiscard]] bool needs_check() const {
    return (dump_of(*disks_.metadata).superblock.flags & 1U) != 0;
  }

  sim::Execution& execution_;
  sim::Rng dice_;
  Disks disks_;
  LivesModel model_;
  std::uint64_t last_value_ = 0;
  End end_ = End::orderly;
  bool first_ = true;
  int refused_ = 0;
};

TEST(ThinLives, WhatIsOnTheDisksIsWhatTheNextOneServes) {
  int refused = 0;
  for_seeds(400, [&](sim::Execution& execution, std::uint64_t seed) {
    Lives lives{execution, seed};
    lives.live();
    refused += lives.refused();
  });
  EXPECT_GT(refused, 0);
}

}   // namespace
}   // namespace engine::thin
