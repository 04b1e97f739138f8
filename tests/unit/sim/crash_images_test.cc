// Every image that a power cut can leave, against a count that knows nothing of how the disk keeps
// its versions: it hears what is submitted, takes effect and ends, and writes down for each sector
// what it may hold.
#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "sim/rng.h"
#include "sim/strategy_bounded.h"
#include "sim/tsan.h"
#include "tests/unit/sim/sim_device_requests.h"
#include "tests/unit/sparse.h"

namespace sim {
namespace {

// Sectors on both sides of where one page ends and the next begins.
constexpr std::uint64_t kFirst = kPageSectors - 3;
constexpr std::uint64_t kSectors = 6;
constexpr std::size_t kImagesMost = 1500;   // of one cut
constexpr char kZeroes = '.';
constexpr char kGarbageLetter = '?';   // letter_at()

// Requests in their order; after each of them those up to some number are waited for.
struct Story {
  struct Part {
    Asked request;
    std::size_t waits_for = 0;   // so many of the first
  };
  std::vector<Part> parts;
  DiscardLeaves leaves = DiscardLeaves::zeroes;
  bool is_blank = true;   // else an image lies under it
};

using Contents = std::array<std::set<char>, kSectors>;
std::size_t images_of(const Contents& contents) {
  std::size_t images = 1;
  for (const std::set<char>& each : contents)
    images *= each.size();
  return images;
}

// What is promised of each sector: from its last safe content on, any that it has had.
class Ledger final : public DeviceObserver {
 public:
  Ledger(const std::string& before, DiscardLeaves leaves) : leaves_{leaves} {
    for (std::size_t i = 0; i < kSectors; ++i)
      sectors_.at(i).had.push_back(before[i]);
  }
  void submitted(const SimDevice& /*device*/, const IoRecord& io) override {
    in_flight_.emplace(io.ordinal, Flying{io, {}, false});
  }
  void took_effect(const SimDevice& /*device*/, const IoRecord& io) override {
    Flying& flying = in_flight_.at(io.ordinal);
    flying.has_happened = true;
    if (io.op == BioOp::flush) {
      for (PerSector& sector : sectors_)
        sector.safe = sector.had.size() - 1;
    }
    const std::vector<char> contents = contents_of(io);
    for (std::size_t i = 0; i < contents.size(); ++i) {
      std::vector<char>& had = at(io, i).had;
      had.push_back(contents[i]);
      flying.places.push_back(had.size() - 1);
    }
  }
  void completed(const SimDevice& /*device*/, const IoRecord& io) override {
    const auto flying = in_flight_.find(io.ordinal);
    if (io.fua && flying->second.has_happened && !is_cut_) {
      for (std::size_t i = 0; i < flying->second.places.size(); ++i)
        at(io, i).safe = std::max(at(io, i).safe, flying->second.places[i]);
    }
    in_flight_.erase(flying);
  }
  void power_cut(const SimDevice& /*device*/) override {
    may_hold_ = would_hold();
    is_cut_ = true;
  }
  // What each sector may hold if the power goes now.
  [[nodiscard]] Contents would_hold() const {
    Contents contents;
    for (std::size_t i = 0; i < kSectors; ++i) {
      const PerSector& sector = sectors_.at(i);
      contents.at(i).insert(sector.had.begin() + static_cast<std::ptrdiff_t>(sector.safe),
                            sector.had.end());
    }
    for (const auto& [ordinal, flying] : in_flight_) {
      if (flying.has_happened) continue;
      const std::vector<char> under_way = contents_of(flying.io);
      for (std::size_t i = 0; i < under_way.size(); ++i)
        contents.at(flying.io.sector.value() + i - kFirst).insert(under_way[i]);
    }
    return contents;
  }
  [[nodiscard]] const Contents& may_hold() const { return may_hold_; }
  [[nodiscard]] std::multiset<std::string> all_images() const {
    std::vector<std::string> images{""};
    for (const std::set<char>& each : may_hold_) {
      std::vector<std::string> longer;
      for (const std::string& image : images) {
        for (const char letter : each)
          longer.push_back(image + letter);
      }
      images = std::move(longer);
    }
    return {images.begin(), images.end()};
  }

 private:
  struct PerSector {
    std::vector<char> had{};
    std::size_t safe = 0;   // what it had before that cannot come back
  };
  struct Flying {
    IoRecord io;
    std::vector<std::size_t> places;   // of its contents, in what the sectors had
    bool has_happened;
  };
  PerSector& at(const IoRecord& io, std::size_t i) {
    return sectors_.at(io.sector.value() + i - kFirst);
  }
  // What it leaves, a letter a sector; none where it leaves all as it was.
  [[nodiscard]] std::vector<char> contents_of(const IoRecord& io) const {
    std::vector<char> contents;
    const bool discards = io.op == BioOp::discard && leaves_ != DiscardLeaves::old_data;
    if (io.op != BioOp::write && io.op != BioOp::write_zeroes && !discards) return contents;
    for (std::uint64_t i = 0; i < io.sectors; ++i) {
      contents.push_back(io.data != nullptr ? letter_at(io.data + i * kSectorSize)
                         : discards && leaves_ == DiscardLeaves::garbage ? kGarbageLetter
                                                                         : kZeroes);
    }
    return contents;
  }

  DiscardLeaves leaves_;
  std::array<PerSector, kSectors> sectors_;
  std::map<std::uint32_t, Flying> in_flight_;
  Contents may_hold_;   // after the cut
  bool is_cut_ = false;
};

Story draw(Rng& rng) {
  static constexpr std::array kOps{BioOp::write,        BioOp::write,   BioOp::write,
                                   BioOp::write_zeroes, BioOp::discard, BioOp::flush};
  Story story{
      .parts = {}, .leaves = static_cast<DiscardLeaves>(rng.below(3)), .is_blank = rng.one_in(2)};
  const std::uint32_t count = 3 + rng.below(6);
  for (std::uint32_t i = 0; i < count; ++i) {
    Asked request{.op = kOps.at(rng.below(kOps.size()))};
    if (request.op != BioOp::flush) {
      const std::uint32_t first = rng.below(kSectors);
      request.sector = kFirst + first;
      request.sectors = 1 + rng.below(std::min<std::uint32_t>(3, kSectors - first));
      // Some write what is there already.
      request.fill = static_cast<char>('a' + (rng.one_in(4) ? 0 : i));
      request.fua = request.op != BioOp::discard && rng.one_in(3);
    }
    const std::size_t waited = story.parts.empty() ? 0 : story.parts.back().waits_for;
    story.parts.push_back(
        {request, waited + rng.below(i + 2 - static_cast<std::uint32_t>(waited))});
  }
  return story;
}

struct Left {
  std::multiset<std::string> images;
  double alike = 0;
  std::vector<Ledger> ledgers;   // the same of each execution: the first
};

Left all_left(const Story& story, CutLeaves leaves) {
  Left left;
  Bounded search{{.schedules = false}};
  Execution execution;
  const std::string before = story.is_blank ? std::string(kSectors, kZeroes) : "uvwxyz";
  auto base = std::make_shared<DiskImage>(3 * kPageSectors);
  for (std::uint64_t i = 0; i < kSectors && !story.is_blank; ++i) {
    std::array<std::byte, kSectorSize> bytes;
    bytes.fill(static_cast<std::byte>(before[i]));
    base->write(Sector{kFirst + i}, bytes);
  }
  do {
    Ledger ledger{before, story.leaves};
    execution.reset({.strategy = &search});
    const Outcome& outcome = execution.run([&] {
      SimDevice disk{
          execution, "disk", {.image = base, .cut_leaves = leaves, .discard_leaves = story.leaves}};
      disk.add_observer(ledger);
      std::deque<Sent> sent;
      std::size_t waited = 0;
      for (const Story::Part& part : story.parts) {
        sent.emplace_back(part.request).submit(disk);
        while (waited != part.waits_for)
          sent[waited++].wait();
      }
      if (images_of(ledger.would_hold()) <= kImagesMost) disk.power_cut();
      while (waited != sent.size())
        sent[waited++].wait();
      if (disk.powered()) return;
      const Hush hush;
      left.images.insert(letters_of(*disk.crash_image(), kFirst, kSectors));
      left.alike += disk.crash_image()->alike();
    });
    EXPECT_FALSE(outcome.finding);
    if (left.ledgers.empty()) left.ledgers.push_back(std::move(ledger));
  } while (search.next() && left.images.size() <= kImagesMost);
  return left;
}

TEST(CrashImages, AreThoseThatEachSectorMayHoldInEveryCombination) {
  Rng rng{23};
  std::uint64_t images = 0;
  std::uint32_t with_many = 0;
  for (std::uint32_t round = 0; round < 150; round += unit::sparse()) {
    const testing::ScopedTrace where{__FILE__, __LINE__, round};
    const Story story = draw(rng);
    const Left all = all_left(story, CutLeaves::each_image);
    const Ledger& ledger = all.ledgers.front();
    const std::size_t expected = images_of(ledger.may_hold());
    if (expected == 0) continue;   // too many, and no cut
    EXPECT_EQ(all.images, ledger.all_images());
    EXPECT_EQ(all.alike, expected);
    images += all.images.size();
    with_many += all.images.size() > 50 ? 1 : 0;

    const Left by_reading = all_left(story, CutLeaves::each_reading);
    EXPECT_EQ(by_reading.images, ledger.all_images());
    EXPECT_EQ(by_reading.alike, expected);

    const Left by_content = all_left(story, CutLeaves::each_content);
    EXPECT_DOUBLE_EQ(by_content.alike, static_cast<double>(expected));
    std::size_t most = 1;
    for (std::size_t i = 0; i < kSectors; ++i) {
      std::set<char> held;
      for (const std::string& image : by_content.images)
        held.insert(image[i]);
      EXPECT_EQ(held, ledger.may_hold().at(i)) << "sector " << i;
      most = std::max(most, held.size());
    }
    EXPECT_EQ(by_content.images.size(), most);
  }
  if (unit::sparse() > 1) return;
  EXPECT_GT(images, 3'000U);
  EXPECT_GT(with_many, 15U);
}

}   // namespace
}   // namespace sim
