// What counts as pointing to memory that is left behind, and what of the process is looked through
// for it.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <sys/mman.h>

#include <gtest/gtest.h>

#include "sim/library/explore.h"
#include "sim/tank.h"
#include "tests/unit/library/leaks.h"

namespace sim {
namespace {

// One that holds memory from one execution to the next, as `Holder` holds a pointer.
template <typename Holder>
SearchResult search_of_one_that_keeps(Holder& holder) {
  SearchResult result = search(
      [&holder] {
        Thread thread{"keeper", [&holder] {
                        delete holder.get();
                        holder.set(new Table);
                      }};
        thread.join();
      },
      {.schedules = 30});
  delete holder.get();
  return result;
}

template <typename Holder>
void expect_kept(Holder&& holder) {
  const SearchResult result = search_of_one_that_keeps(holder);
  EXPECT_FALSE(result.found) << result.found->finding.message;
}

constexpr unsigned kTagAt = 48;
constexpr std::uint64_t kPointerBits = (std::uint64_t{1} << kTagAt) - 1;

// A pointer in the midst of other bits.
template <std::uint64_t tag, unsigned at = 0>
struct Tagged {
  std::uint64_t bits = 0;
  void set(Table* table) { bits = reinterpret_cast<std::uint64_t>(table) << at | tag; }
  [[nodiscard]] Table* get() const {
    const std::uint64_t low = at == 0 ? 7 : 0;
    return reinterpret_cast<Table*>((bits >> at & kPointerBits) & ~low);
  }
};

TEST_F(Leaks, PointersWithTagsAreSeen) {
  expect_kept(Tagged<std::uint64_t{0xBEEF} << kTagAt>{});
  expect_kept(Tagged<7>{});
  expect_kept(Tagged < std::uint64_t{0x8001} << kTagAt | 5 > {});
  expect_kept(Tagged<0x1234, 64 - kTagAt>{});   // a counter below it
}

struct [[gnu::packed]] OutOfLine {
  std::array<char, 3> name{};
  Table* table = nullptr;
};

TEST_F(Leaks, PointersOutOfLineAreSeen) {
  struct Holder {
    OutOfLine here;
    void set(Table* table) { here.table = table; }
    [[nodiscard]] Table* get() const { return here.table; }
  };
  expect_kept(Holder{});
  struct Far {   // on the heap of the program, which has to be looked at in the same way
    OutOfLine* place = nullptr;
    void set(Table* table) {
      if (place == nullptr) place = new OutOfLine;
      place->table = table;
    }
    [[nodiscard]] Table* get() const { return place != nullptr ? place->table : nullptr; }
  };
  Far far;
  expect_kept(far);
  delete far.place;
}

TEST_F(Leaks, PointersInSharedMemoryAreSeen) {
  struct Holder {
    Table** place = static_cast<Table**>(
        mmap(nullptr, sizeof(Table*), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    void set(Table* table) { *place = table; }
    [[nodiscard]] Table* get() const { return *place; }
  };
  Holder holder;
  ASSERT_NE(holder.place, MAP_FAILED);
  expect_kept(holder);
  munmap(holder.place, sizeof(Table*));
}

// A page with those rights, when nobody writes to it.
template <int rights>
struct PageHolder {
  static constexpr std::size_t kBytes = 4096;
  Table** place = static_cast<Table**>(
      mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  void set(Table* table) {
    ASSERT_EQ(mprotect(place, kBytes, PROT_READ | PROT_WRITE), 0);
    *place = table;
    ASSERT_EQ(mprotect(place, kBytes, rights), 0);
  }
  [[nodiscard]] Table* get() const { return *place; }
};

TEST_F(Leaks, PointersInPagesOfAnyRightsAreSeen) {
  const auto expect_kept_in = [](auto holder) {
    ASSERT_NE(holder.place, MAP_FAILED);
    expect_kept(holder);
    munmap(holder.place, holder.kBytes);
  };
  expect_kept_in(PageHolder < PROT_READ | PROT_WRITE | PROT_EXEC > {});
  expect_kept_in(PageHolder<PROT_READ>{});
  expect_kept_in(PageHolder < PROT_READ | PROT_EXEC > {});
}

// Of large mappings, those pages that are in use, wherever they are.
TEST_F(Leaks, PointersFarInLargeMappingsAreSeen) {
  constexpr std::size_t kBytes = std::size_t{96} << 20U;
  struct Holder {
    std::byte* begin = static_cast<std::byte*>(
        mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    std::size_t at = 0;
    void set(Table* table) const { std::memcpy(begin + at, &table, sizeof table); }
    [[nodiscard]] Table* get() const {
      Table* table = nullptr;
      std::memcpy(&table, begin + at, sizeof table);
      return table;
    }
  };
  Holder holder;
  ASSERT_NE(holder.begin, MAP_FAILED);
  // The last ones of what is asked about at a time, across two pages, and the very last.
  for (const std::size_t at : {(std::size_t{16} << 20U) - 8, (std::size_t{32} << 20U) - 3,
                               (std::size_t{48} << 20U) + 4096 - 5, kBytes - 8}) {
    holder.at = at;
    expect_kept(holder);
    holder.set(nullptr);
  }
  munmap(holder.begin, kBytes);
}

// Keeps a block by a pointer that is so many bytes from its beginning; its size is a whole number
// of what the heap measures in.
SearchResult search_of_one_that_points(std::intptr_t at) {
  using Row = std::array<std::uint64_t, 4>;
  std::uintptr_t place = 0;
  const auto give_back = [&] {
    if (place != 0) delete reinterpret_cast<Row*>(place - static_cast<std::uintptr_t>(at));
  };
  SearchResult result = search(
      [&] {
        Thread thread{"keeper", [&] {
                        give_back();
                        place = reinterpret_cast<std::uintptr_t>(new Row) +
                                static_cast<std::uintptr_t>(at);
                      }};
        thread.join();
      },
      {.schedules = 30});
  give_back();
  return result;
}

// As that of what is filled from its end, or a range whose beginning is counted back.
TEST_F(Leaks, PointersIntoAndToTheEndAreSeen) {
  for (const std::intptr_t at : {0, 8, 31, 32})
    EXPECT_FALSE(search_of_one_that_points(at).found) << at;
}

TEST_F(Leaks, PointersBeyondTheEndAreNone) {
  for (const std::intptr_t at : {-8, 56}) {
    const SearchResult result = search_of_one_that_points(at);
    ASSERT_TRUE(result.found) << at;
    EXPECT_EQ(result.found->finding.kind, FindingKind::leak);
  }
}

// What cannot be told from any other number. That it is found here says also that in the tests
// above nothing else points to what is kept.
TEST_F(Leaks, OneKeptInCipherIsTakenForLost) {
  struct Holder {
    std::uint64_t bits = kPointerBits;
    void set(Table* table) { bits = reinterpret_cast<std::uint64_t>(table) ^ kPointerBits; }
    [[nodiscard]] Table* get() const { return reinterpret_cast<Table*>(bits ^ kPointerBits); }
  };
  Holder holder;
  const SearchResult result = search_of_one_that_keeps(holder);
  ASSERT_TRUE(result.found);
  EXPECT_EQ(result.found->finding.kind, FindingKind::leak);
}

// More than is ever read: nobody knows what points to what was left.
TEST_F(Leaks, ThoseOfAProcessThatIsTooLargeAreNotTakenForNone) {
  constexpr std::size_t kBytes = std::size_t{5} << 29U;
  constexpr std::size_t kPage = 4096;
  auto* const memory = static_cast<volatile char*>(mmap(
      nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  ASSERT_NE(memory, MAP_FAILED);
  for (std::size_t at = 0; at < kBytes; at += kPage)
    static_cast<void>(memory[at]);   // in use, all of one page of zeroes
  const Program program = [] { static_cast<void>(new Table); };
  const SearchResult searched = search(program, {.schedules = 1});
  const Exploration explored = explore(program, {.executions_max = 1});
  munmap(const_cast<char*>(memory), kBytes);
  EXPECT_FALSE(searched.found);
  EXPECT_FALSE(explored.found);
  EXPECT_EQ(searched.not_looked_for,
            "leaks, where an execution leaves memory behind: more than 2 GiB are in use of what "
            "the process shares or has reserved by the GiB");
  EXPECT_EQ(explored.not_looked_for, searched.not_looked_for);
  const SearchResult afterwards = search(program, {.schedules = 1, .shrink_tries = 0});
  EXPECT_TRUE(afterwards.found);
  EXPECT_EQ(afterwards.not_looked_for, "");
}

}   // namespace
}   // namespace sim
