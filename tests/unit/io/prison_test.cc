#include "engine/io/prison.h"

#include <list>
#include <map>

#include "tests/unit/io/tank.h"

namespace engine::io {
namespace {

CellKey virt(std::uint64_t begin, std::uint64_t end, std::uint32_t thin = 1) {
  return {CellKind::virtual_blocks, ThinId{thin}, begin, end};
}

std::vector<Bio*> drain(BioList& list) {
  std::vector<Bio*> bios;
  while (!list.empty()) {
    bios.push_back(&list.front());
    list.pop_front();
  }
  return bios;
}

TEST(Prison, FirstComeHoldsAndOverlappingRangesQueue) {
  Prison prison{"prison", 16};
  Cell a;
  Cell b;
  std::array<Bio, 6> bios;
  EXPECT_EQ(prison.detain(virt(2, 5), bios[0], a), Prison::Detained::holder);
  EXPECT_EQ(a.holder(), &bios[0]);
  EXPECT_EQ(prison.detain(virt(4, 8), bios[1], b), Prison::Detained::inmate);
  EXPECT_EQ(prison.detain(virt(0, 3), bios[2], b), Prison::Detained::inmate);
  EXPECT_EQ(prison.detain(virt(3, 4), bios[3], b), Prison::Detained::inmate);
  EXPECT_FALSE(prison.try_lock(virt(0, 16), b));
  // Neighbours, other devices and the other kind are free.
  EXPECT_TRUE(prison.try_lock(virt(5, 8), b));
  BioList out;
  prison.release(b, out);
  EXPECT_TRUE(prison.try_lock(virt(0, 2), b));
  prison.release(b, out);
  EXPECT_TRUE(prison.try_lock(virt(2, 5, 2), b));
  prison.release(b, out);
  EXPECT_TRUE(prison.try_lock(data_key(ThinId{1}, DataBlock{2}, 3), b));
  prison.release(b, out);
  EXPECT_TRUE(out.empty());
  prison.release(a, out);
  EXPECT_EQ(drain(out), (std::vector<Bio*>{&bios[1], &bios[2], &bios[3]}));
  EXPECT_EQ(prison.held(), 0U);
}

TEST(Prison, ReleasesTheHolderFirstWhenAsked) {
  Prison prison{"prison"};
  Cell cell;
  Cell spare;
  std::array<Bio, 3> bios;
  ASSERT_EQ(prison.detain(virt(7, 8), bios[0], cell), Prison::Detained::holder);
  ASSERT_EQ(prison.detain(virt(7, 8), bios[1], spare), Prison::Detained::inmate);
  BioList out;
  prison.release_all(cell, out);
  EXPECT_EQ(drain(out), (std::vector<Bio*>{&bios[0], &bios[1]}));
}

TEST(Prison, PromotesInmatesOneByOne) {
  Prison prison{"prison"};
  Cell cell;
  Cell spare;
  std::array<Bio, 3> bios;
  ASSERT_EQ(prison.detain(virt(7, 8), bios[0], cell), Prison::Detained::holder);
  ASSERT_EQ(prison.detain(virt(7, 8), bios[1], spare), Prison::Detained::inmate);
  ASSERT_EQ(prison.detain(virt(7, 8), bios[2], spare), Prison::Detained::inmate);
  EXPECT_TRUE(prison.promote_or_release(cell));
  EXPECT_EQ(cell.holder(), &bios[1]);
  EXPECT_TRUE(prison.promote_or_release(cell));
  EXPECT_EQ(cell.holder(), &bios[2]);
  EXPECT_FALSE(prison.promote_or_release(cell));
  EXPECT_EQ(prison.held(), 0U);
  // The memory is free again.
  EXPECT_TRUE(prison.try_lock(virt(1, 2), cell));
  BioList out;
  prison.release(cell, out);
}

// The holder may be in flight below, where its hook is used: the cell must not use it.
TEST(Prison, LeavesTheHoldersHookAlone) {
  Prison prison{"prison"};
  Cell cell;
  Cell spare;
  std::array<Bio, 3> bios;
  ASSERT_EQ(prison.detain(virt(7, 8), bios[0], cell), Prison::Detained::holder);
  BioList below;
  below.push_back(bios[0]);
  ASSERT_EQ(prison.detain(virt(7, 8), bios[1], spare), Prison::Detained::inmate);
  below.push_back(bios[2]);
  BioList out;
  prison.release(cell, out);
  EXPECT_EQ(drain(out), (std::vector<Bio*>{&bios[1]}));
  EXPECT_EQ(drain(below), (std::vector<Bio*>{&bios[0], &bios[2]}));
}

TEST(Prison, FailsForRangesThatCrossAWindow) {
  const auto finding = unit::finding_of([](sim::Execution&) {
    Prison prison{"prison", 16};
    Cell cell;
    static_cast<void>(prison.try_lock(virt(10, 20), cell));
  });
  ASSERT_TRUE(finding);
  EXPECT_EQ(finding->kind, sim::FindingKind::assertion);
}

TEST(Prison, FailsWhenAVisitorLeavesInmatesBehind) {
  const auto finding = unit::finding_of([](sim::Execution&) {
    Prison prison{"prison"};
    Cell cell;
    Cell spare;
    std::array<Bio, 2> bios;
    static_cast<void>(prison.detain(virt(1, 2), bios[0], cell));
    static_cast<void>(prison.detain(virt(1, 2), bios[1], spare));
    prison.visit_release(cell, [](BioList&) {});
  });
  ASSERT_TRUE(finding);
  EXPECT_EQ(finding->kind, sim::FindingKind::assertion);
}

// Random operations against a list of claims.
TEST(Prison, AgreesWithAListOfClaims) {
  struct Claim {
    CellKey key;
    Bio* holder;
    std::vector<Bio*> inmates;
    std::unique_ptr<Cell> cell;
  };
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    sim::Rng rng{seed};
    Prison prison{"prison", 8};
    std::list<Claim> claims;
    std::list<Bio> bios;
    for (int step = 0; step < 400; ++step) {
      const std::uint32_t window = rng.below(3) * 8;
      const std::uint32_t begin = window + rng.below(8);
      const std::uint32_t end = begin + 1 + rng.below(window + 8 - begin);
      const CellKey key{rng.below(2) == 0 ? CellKind::virtual_blocks : CellKind::data_blocks,
                        ThinId{rng.below(2)}, begin, end};
      const std::uint32_t what = rng.below(4);
      if (what < 2) {
        auto memory = std::make_unique<Cell>();
        // Where several overlap, the one with the lowest beginning is joined.
        Claim* lowest = nullptr;
        for (Claim& claim : claims) {
          if (claim.key.kind == key.kind && claim.key.thin == key.thin &&
              claim.key.begin < key.end && key.begin < claim.key.end &&
              (lowest == nullptr || claim.key.begin < lowest->key.begin))
            lowest = &claim;
        }
        if (what == 0) {
          Bio& bio = bios.emplace_back();
          const auto got = prison.detain(key, bio, *memory);
          ASSERT_EQ(got == Prison::Detained::holder, lowest == nullptr);
          if (lowest != nullptr)
            lowest->inmates.push_back(&bio);
          else
            claims.push_back({key, &bio, {}, std::move(memory)});
        } else {
          ASSERT_EQ(prison.try_lock(key, *memory), lowest == nullptr);
          if (lowest == nullptr) claims.push_back({key, nullptr, {}, std::move(memory)});
        }
      } else if (!claims.empty()) {
        auto it = claims.begin();
        std::advance(it, static_cast<long>(rng.below(static_cast<std::uint32_t>(claims.size()))));
        ASSERT_EQ(it->cell->holder(), it->holder);
        BioList out;
        if (what == 2) {
          prison.release(*it->cell, out);
        } else {
          prison.visit_release(*it->cell,
                               [&](BioList& inmates) { out.splice(out.end(), inmates); });
        }
        ASSERT_EQ(drain(out), it->inmates);
        claims.erase(it);
      }
      ASSERT_EQ(prison.held(), claims.size());
    }
    BioList out;
    for (Claim& claim : claims)
      prison.release_all(*claim.cell, out);
    drain(out);
  }
}

// Every bio gets its turn, and nobody shares a block.
TEST(Prison, ExcludesAndForgetsNobodyUnderAllSchedules) {
  unit::for_seeds(3000, [](sim::Execution& execution, std::uint64_t seed) {
    constexpr std::uint32_t kBlocks = 8;
    Prison prison{"prison", kBlocks};
    CellPool cells{"cells", 4};
    std::array<unit::Note<int>, kBlocks> users{};
    std::array<Bio, 12> bios;
    std::map<const Bio*, int> turns;
    BioList todo;            // as a worker would keep it
    SpinLock lock{"todo"};   // for both
    sim::Rng rng{seed};
    for (Bio& bio : bios) {
      const std::uint32_t first = rng.below(kBlocks);
      bio.sector = Sector{first};
      bio.sectors = 1 + rng.below(kBlocks - first);
      todo.push_back(bio);
    }
    unit::Together fibers{execution};
    for (int i = 0; i < 3; ++i) {
      fibers.run("worker", [&] {
        for (;;) {
          Bio* next = nullptr;
          {
            const SpinGuard guard{lock};
            if (turns.size() == bios.size()) return;
            if (!todo.empty()) {
              next = &todo.front();
              todo.pop_front();
            }
          }
          if (next == nullptr) {
            yield_now();
            continue;
          }
          Bio& bio = *next;
          Cell& cell = cells.take();
          const CellKey key = virt(bio.sector.value(), bio.sector_end().value());
          if (prison.detain(key, bio, cell) == Prison::Detained::inmate) {
            cells.give(cell);
            continue;
          }
          for (std::uint64_t b = key.begin; b < key.end; ++b)
            EXPECT_EQ(++users[b], 1);
          yield_now();
          for (std::uint64_t b = key.begin; b < key.end; ++b)
            --users[b];
          BioList inmates;
          prison.release(cell, inmates);
          cells.give(cell);
          const SpinGuard guard{lock};
          ++turns[&bio];
          todo.splice(todo.end(), inmates);
        }
      });
    }
    fibers.wait();
    for (const Bio& bio : bios)
      EXPECT_EQ(turns[&bio], 1);
    EXPECT_EQ(prison.held(), 0U);
    EXPECT_EQ(cells.in_use(), 0U);
  });
}

}   // namespace
}   // namespace engine::io
