// smq beside a plain LRU on Zipf's law, as plots of the hit ratio over time, and what a lookup
// costs.
#include <array>
#include <chrono>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "engine/cache/smq.h"
#include "tests/bench/policy_traffic.h"

namespace {

using engine::cache::Decision;
using engine::cache::Direction;
using engine::cache::MapRequest;
using engine::cache::Migrate;
using engine::cache::OriginBlock;
using engine::cache::Wait;
using engine::cache::smq::Smq;

constexpr std::uint64_t kBlocks = 1 << 16;
constexpr std::uint32_t kPlaces = 1 << 12;   // one block in sixteen
constexpr int kAccessesPerSecond = 4000;
constexpr int kColumns = 60;   // of the plot
constexpr int kSecondsPerColumn = 5;
constexpr int kRows = 20;

class AnyVictim final : public engine::cache::CellLocker {
 public:
  [[nodiscard]] bool try_lock(OriginBlock /*victim*/) override { return true; }
};

struct Race {
  std::vector<double> smq;   // hit ratios, a column each
  std::vector<double> lru;
  std::uint64_t promotions = 0;   // by smq
  double nanoseconds = 0;         // a call of smq's map
};

MapRequest read_of(std::uint64_t block) {
  return {.block = OriginBlock{block}, .wait = Wait::allowed, .migrate = Migrate::allowed};
}

Race race(bool scans) {
  bench::Traffic traffic{kBlocks, 0.9, scans};
  Smq smq{{.cache_blocks = kPlaces, .origin_blocks = 5 * kBlocks, .block_sectors = 64}};
  bench::Lru lru{kPlaces};
  AnyVictim victims;
  Race result;
  std::vector<std::uint64_t> second(kAccessesPerSecond);
  std::chrono::steady_clock::duration spent{};
  for (int column = 0; column < kColumns; ++column) {
    int smq_hits = 0;
    int lru_hits = 0;
    for (int i = 0; i < kSecondsPerColumn; ++i) {
      for (std::uint64_t& block : second)
        block = traffic.next();
      const auto began = std::chrono::steady_clock::now();
      for (const std::uint64_t block : second) {
        const Decision decision = smq.map(read_of(block), victims);
        if (std::holds_alternative<engine::cache::Hit>(decision)) {
          ++smq_hits;
        } else if (!std::holds_alternative<engine::cache::Miss>(decision)) {
          ++result.promotions;
        }
      }
      smq.tick(std::chrono::seconds{column * kSecondsPerColumn + i});
      spent += std::chrono::steady_clock::now() - began;
      for (const std::uint64_t block : second)
        lru_hits += lru.access(block) ? 1 : 0;
    }
    constexpr double kInColumn = static_cast<double>(kAccessesPerSecond) * kSecondsPerColumn;
    result.smq.push_back(smq_hits / kInColumn);
    result.lru.push_back(lru_hits / kInColumn);
  }
  result.nanoseconds = std::chrono::duration<double, std::nano>(spent).count() / kColumns /
                       kSecondsPerColumn / kAccessesPerSecond;
  return result;
}

// `*` smq, `o` LRU, `@` both.
void plot(const Race& race) {
  for (int row = kRows; row-- > 0;) {
    std::string line;
    for (int column = 0; column < kColumns; ++column) {
      const auto in_row = [&](double ratio) { return static_cast<int>(ratio * kRows) == row; };
      const auto at = static_cast<std::size_t>(column);
      const bool smq = in_row(race.smq[at]);
      const bool lru = in_row(race.lru[at]);
      line += smq && lru ? '@' : smq ? '*' : lru ? 'o' : ' ';
    }
    fmt::print("{:>4} % |{}|\n", row * 100 / kRows, line);
  }
  fmt::print("        0 s{:>{}}\n", fmt::format("{} s", kColumns * kSecondsPerColumn),
             kColumns - 3);
  fmt::print(
      "at the end smq {:.1f} %, LRU {:.1f} %; smq promoted {:.2f} % of all accesses and took "
      "{:.0f} ns for each\n",
      100 * race.smq.back(), 100 * race.lru.back(),
      100.0 * static_cast<double>(race.promotions) /
          (static_cast<double>(kColumns) * kSecondsPerColumn * kAccessesPerSecond),
      race.nanoseconds);
}

}   // namespace

int main() {
  fmt::print("Hit ratio over time, Zipf 0.9 over {} blocks, {} places. * smq, o LRU, @ both\n\n",
             kBlocks, kPlaces);
  plot(race(false));
  fmt::print("\nThe same with a scan: every fourth access is to a cold block\n\n");
  plot(race(true));
}
