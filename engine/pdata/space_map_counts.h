// Reference counts in memory, the common part of both space maps: two bits an entry, as on disk,
// plus for every bitmap changed in this transaction its state at the last commit.
//
// The two-generation rule lives here: allocate() takes only blocks that are free now *and* were
// free at the last commit, since until the next commit a power cut or an abort brings the old
// state back. It also tells which blocks are new in this transaction (free at the last commit, in
// use now), which is what copy-on-write needs to know.
//
// A staged entry is free in both generations, and in all that is stored, but nobody else's to
// allocate: what it is meant for is still being made.
//
// Pure bookkeeping: no I/O, no suspending. Callers serialise: one writer, or readers only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/result.h"
#include "engine/pdata/space_map_format.h"

namespace engine::pdata {

// What two bits can say of a count.
enum class SmallCount : std::uint8_t { zero = 0, one = 1, two = 2, many = 3 };
inline constexpr std::uint32_t kSmallCountMax = 2;   // the highest that needs no overflow entry

class SpaceMapCounts {
 public:
  // All free, now and at the last commit.
  explicit SpaceMapCounts(std::uint64_t nr_blocks = 0) { resize(nr_blocks); }

  [[nodiscard]] std::uint64_t nr_blocks() const noexcept { return nr_blocks_; }
  [[nodiscard]] std::uint64_t nr_allocated() const noexcept { return nr_allocated_; }
  // Free now, but in use at the last commit: not to be allocated before the next.
  [[nodiscard]] std::uint64_t nr_embargoed() const noexcept { return nr_embargoed_; }
  [[nodiscard]] std::uint64_t nr_allocatable() const noexcept {
    return nr_blocks_ - nr_allocated_ - nr_embargoed_ - staged_.size();
  }
  [[nodiscard]] std::size_t nr_bitmaps() const noexcept { return bitmaps_.size(); }

  // `block` must be below nr_blocks() in all that follow.
  [[nodiscard]] SmallCount get(std::uint64_t block) const noexcept;
  [[nodiscard]] bool free_at_last_commit(std::uint64_t block) const noexcept;
  [[nodiscard]] bool new_in_transaction(std::uint64_t block) const noexcept {
    return get(block) != SmallCount::zero && free_at_last_commit(block);
  }
  void set(std::uint64_t block, SmallCount count);

  // The next block at or after the cursor, else the first before it, that may be allocated; it now
  // has count one.
  [[nodiscard]] std::optional<std::uint64_t> allocate();
  // The same, but for the count: it is staged.
  [[nodiscard]] std::optional<std::uint64_t> stage();
  // A certain one, which must be free in both generations and not staged.
  void stage(std::uint64_t block);
  // Now it has count one. It must be staged.
  void take_staged(std::uint64_t block);
  // Anybody's again. It must be staged.
  void unstage(std::uint64_t block);
  [[nodiscard]] const std::set<std::uint64_t>& staged() const noexcept { return staged_; }

  // Grows; new blocks are free in both generations. Bitmaps that are new are dirty.
  void resize(std::uint64_t nr_blocks);

  // Changed, or new, since the last clear_dirty() of this bitmap.
  [[nodiscard]] bool dirty(std::size_t bitmap) const noexcept { return bitmaps_[bitmap].dirty; }
  // In ascending order.
  [[nodiscard]] std::vector<std::size_t> dirty_bitmaps() const;
  void mark_dirty(std::size_t bitmap) noexcept { bitmaps_[bitmap].dirty = true; }
  void clear_dirty(std::size_t bitmap) noexcept { bitmaps_[bitmap].dirty = false; }
  // What is now becomes the state at the last commit.
  void committed();

  // Of one bitmap: counts from and to the bytes of a bitmap block after its header. load() is for a
  // map just opened (both generations); entries beyond nr_blocks() are ignored. Returns the number
  // of entries with SmallCount::many.
  std::uint64_t load(std::size_t bitmap, ConstBytes packed);
  void store(std::size_t bitmap, MutableBytes packed) const noexcept;
  // As in an index entry.
  [[nodiscard]] std::uint32_t nr_free(std::size_t bitmap) const noexcept;
  [[nodiscard]] std::uint32_t none_free_before(std::size_t bitmap) noexcept;

 private:
  // 32 entries a word, in the disk's order of bits: of each pair the lower bit is the twos, the
  // upper the ones.
  using Words = std::vector<std::uint64_t>;
  struct Bitmap {
    Words now;
    Words before;   // at the last commit; empty when equal to `now`
    std::uint32_t nr_used = 0;
    std::uint32_t free_hint = 0;   // no entry below is free now
    bool dirty = false;
  };
  [[nodiscard]] std::uint64_t entries_in(std::size_t bitmap) const noexcept;
  [[nodiscard]] std::optional<std::uint64_t> find(std::uint64_t begin,
                                                  std::uint64_t end) const noexcept;
  [[nodiscard]] std::optional<std::uint64_t> find_unstaged(std::uint64_t begin,
                                                           std::uint64_t end) const noexcept;
  [[nodiscard]] std::optional<std::uint64_t> next();
  void touch(std::size_t bitmap);

  std::vector<Bitmap> bitmaps_;
  std::vector<std::size_t> changed_;   // bitmaps with a `before`
  std::set<std::uint64_t> staged_;
  std::uint64_t nr_blocks_ = 0;
  std::uint64_t nr_allocated_ = 0;
  std::uint64_t nr_embargoed_ = 0;
  std::uint64_t cursor_ = 0;
};

}   // namespace engine::pdata
