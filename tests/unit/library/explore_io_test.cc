// Exploration of programs with I/O against every single schedule of them: whatever comes about in
// one of these comes about in one of those that are explored.
#include <array>
#include <cstring>
#include <deque>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include "engine/env/buffer.h"
#include "sim/rng.h"
#include "sim/sim_device.h"
#include "sim/strategy_bounded.h"
#include "sim/tank.h"
#include "sim/tsan.h"
#include "tests/unit/library/every_schedule.h"
#include "tests/unit/sparse.h"

namespace sim {
namespace {

using engine::Bio;
using engine::BioOp;
using engine::kSectorSize;
using engine::Sector;

constexpr std::uint64_t kSectors = 2;

struct Request {
  BioOp op;
  bool fua;
  std::uint64_t sector;
  std::uint64_t sectors;
};
// By fiber, which submits them one after the other and then waits for all: three or four of one, or
// two of one and one of another.
using Script = std::vector<std::vector<Request>>;

Script draw(Rng& rng) {
  static constexpr std::array kOps{BioOp::write, BioOp::write,   BioOp::read,
                                   BioOp::read,  BioOp::discard, BioOp::flush};
  Script script(1 + rng.below(2));
  for (auto& requests : script) {
    std::size_t count = &requests == &script[0] ? 2 : 1;
    for (count += script.size() == 1 ? 1 + rng.below(2) : 0; count != 0; --count) {
      Request request{
          .op = kOps.at(rng.below(kOps.size())), .fua = false, .sector = 0, .sectors = 0};
      if (request.op != BioOp::flush) {
        request.sector = rng.below(kSectors);
        request.sectors = 1 + rng.below(static_cast<std::uint32_t>(kSectors - request.sector));
        request.fua = request.op == BioOp::write && rng.one_in(2);
      }
      requests.push_back(request);
    }
  }
  return script;
}

std::string letters_of(const std::byte* bytes, std::uint64_t sectors) {
  std::string letters;
  for (std::uint64_t i = 0; i < sectors; ++i) {
    const auto letter = static_cast<char>(bytes[i * kSectorSize]);
    letters += letter == 0 ? '.' : letter;
  }
  return letters;
}

std::string letters_of(const DiskImage& image) {
  std::array<std::byte, kSectors * kSectorSize> bytes;
  image.read(Sector{0}, bytes);
  return letters_of(bytes.data(), kSectors);
}

struct Sent {
  Sent(const Request& request, char letter) : sectors{request.sectors} {
    std::memset(buffer.data(), letter, kSectors * kSectorSize);
    bio.op = request.op;
    bio.fua = request.fua;
    bio.sector = Sector{request.sector};
    bio.sectors = request.sectors;
    if (request.op == BioOp::write || request.op == BioOp::read) bio.data = buffer.data();
    bio.owner = &ended;
    bio.end_io = [](Bio& bio) { static_cast<engine::Completion*>(bio.owner)->signal(); };
  }
  [[nodiscard]] std::string letters() const { return letters_of(buffer.data(), sectors); }

  std::uint64_t sectors;
  engine::AlignedBuffer buffer{kSectors * kSectorSize};
  Bio bio;
  engine::Completion ended{"request"};
};

// What reads have seen, what is on the disk in the end, and what of it is safe.
std::string run(Execution& execution, const Script& script) {
  SimDevice disk{execution, "disk", {.sectors = kSectors, .discard_leaves = DiscardLeaves::zeroes}};
  std::vector<std::string> seen(script.size());
  Threads threads;
  for (std::size_t i = 0; i < script.size(); ++i) {
    threads.start("user", [&, i] {
      std::deque<Sent> sent;
      for (const Request& request : script[i])
        sent.emplace_back(request, static_cast<char>((i == 0 ? 'a' : 'A') + sent.size()));
      for (Sent& each : sent)
        disk.submit(each.bio);
      for (Sent& each : sent) {
        each.ended.wait();
        const Hush hush;
        if (each.bio.op == BioOp::read) seen[i] += each.letters() + ' ';
      }
    });
  }
  threads.join();
  const Hush hush;
  return fmt::format("{} / {} / {}", fmt::join(seen, "/"), letters_of(*disk.snapshot()),
                     letters_of(*disk.durable_snapshot()));
}

template <typename Search>
std::set<std::string> told(Search& search, const Script& script, std::uint64_t& runs,
                           std::uint64_t runs_most) {
  std::set<std::string> told;
  Execution execution;
  do {
    execution.reset({.strategy = &search});
    std::string all;
    EXPECT_FALSE(execution.run([&] { all = run(execution, script); }).finding);
    told.insert(all);
  } while (++runs != runs_most && search.next());
  return told;
}

TEST(ExploreIo, BringsAboutWhatAllSchedulesDo) {
  if (unit::sparse() > 1) GTEST_SKIP() << "every execution or none";
  constexpr std::uint64_t kRunsMost = 30'000;
  Rng rng{29};
  std::uint64_t all = 0;
  std::uint64_t explored = 0;
  std::uint32_t several = 0;
  for (std::uint32_t round = 0; round < 40; ++round) {
    const Script script = draw(rng);
    unit::EverySchedule every{unit::EverySchedule::kAnyNumber, unit::EverySchedule::Where::noticed};
    std::uint64_t runs = 0;
    const std::set<std::string> by_all = told(every, script, runs, kRunsMost);
    if (runs == kRunsMost) continue;
    Bounded search{{}};
    EXPECT_EQ(told(search, script, explored, ~std::uint64_t{0}), by_all) << round;
    all += runs;
    several += by_all.size() > 1 ? 1 : 0;
  }
  EXPECT_GT(all, 10'000U);
  EXPECT_GT(several, 10U);
}

}   // namespace
}   // namespace sim
