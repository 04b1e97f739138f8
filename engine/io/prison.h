// Cells: exclusive claims on ranges of blocks, with the bios that wait for them.
//
// A key is (kind of block, thin id, [begin, end)). Keys of the same kind and id whose ranges
// overlap conflict: the first to arrive holds the cell, whatever comes later queues in it as an
// inmate. The holder is not on the inmates' list, since it may be in flight below, where its hook
// is used. A range lies within one window of `range_blocks_max` blocks; longer ranges take several
// cells. Windows spread over shards with a lock each, so that reactors do not meet at one.
//
// Nothing is allocated here: the caller brings the cell's memory, from a CellPool.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <source_location>
#include <type_traits>
#include <utility>

#include <boost/intrusive/set.hpp>

#include "engine/base/units.h"
#include "engine/fiber/spin_lock.h"
#include "engine/io/bio_list.h"
#include "engine/io/object_pool.h"

namespace engine::io {

enum class CellKind : std::uint8_t { virtual_blocks, data_blocks, origin_blocks, sectors };

struct CellKey {
  CellKind kind = CellKind::virtual_blocks;
  ThinId thin{0};
  std::uint64_t begin = 0;
  std::uint64_t end = 0;   // one past

  friend bool operator==(const CellKey&, const CellKey&) noexcept = default;
};

[[nodiscard]] constexpr CellKey virtual_key(ThinId thin, VirtBlock begin,
                                            std::uint64_t count = 1) noexcept {
  return {CellKind::virtual_blocks, thin, begin.value(), begin.value() + count};
}
[[nodiscard]] constexpr CellKey data_key(ThinId thin, DataBlock begin,
                                         std::uint64_t count = 1) noexcept {
  return {CellKind::data_blocks, thin, begin.value(), begin.value() + count};
}

class Prison;

class Cell {
 public:
  Cell() = default;
  Cell(const Cell&) = delete;
  Cell& operator=(const Cell&) = delete;

  [[nodiscard]] const CellKey& key() const noexcept { return key_; }
  // Null when whoever holds the cell came without a bio.
  [[nodiscard]] Bio* holder() const noexcept { return holder_; }

  // For whoever holds the cell, to keep it on lists of its own.
  boost::intrusive::list_member_hook<> hook;

 private:
  friend class Prison;
  boost::intrusive::set_member_hook<> tree_hook_;
  CellKey key_;
  Bio* holder_ = nullptr;
  BioList inmates_;
  bool held_ = false;
};

using CellPool = BoundedPool<Cell>;

class Prison {
 public:
  // `range_blocks_max`: a power of two.
  explicit Prison(const char* name, std::uint64_t range_blocks_max = 1024);
  ~Prison();
  Prison(const Prison&) = delete;
  Prison& operator=(const Prison&) = delete;

  enum class Detained : std::uint8_t {
    holder,   // the cell is `memory`, held by the caller, who releases it
    inmate,   // the bio has been queued in another's cell and belongs to it; `memory` is unused
  };

  // All of these: any context; none suspends.

  // Claims `key` on behalf of `bio`, or queues `bio` behind whoever has claimed it. `memory` must
  // be a cell that holds nothing; it may be reused at once after `inmate`.
  [[nodiscard]] Detained detain(const CellKey& key, Bio& bio, Cell& memory,
                                std::source_location where = std::source_location::current());
  // The same; on `inmate`, `give_back()` runs under the prison's lock, before anybody can get at
  // the bio. For memory of whoever may be gone as soon as the bio has ended.
  template <typename GiveBack>
  [[nodiscard]] Detained detain(const CellKey& key, Bio& bio, Cell& memory, GiveBack&& give_back,
                                std::source_location where = std::source_location::current()) {
    using Stored = std::remove_reference_t<GiveBack>;
    return detain_with(
        key, bio, memory, [](void* argument) { (*static_cast<Stored*>(argument))(); },
        const_cast<void*>(static_cast<const void*>(std::addressof(give_back))), where);
  }
  // Claims `key` without a bio. False: someone has claimed a part of it; nothing changed.
  [[nodiscard]] bool try_lock(const CellKey& key, Cell& memory,
                              std::source_location where = std::source_location::current());

  // Ends the claim and appends the inmates to `bios`, in the order they came. The holder is not
  // among them. Afterwards the cell's memory is the caller's again.
  void release(Cell& cell, BioList& bios,
               std::source_location where = std::source_location::current());
  // Same, with the holder first (if there is one). The holder must not be in flight or listed.
  void release_all(Cell& cell, BioList& bios,
                   std::source_location where = std::source_location::current());
  // Ends the claim after `visit(bios)`, which runs under the prison's lock with all inmates in
  // `bios`: whatever it counts or takes is done before anybody else can claim the range. It must
  // not submit, and must leave `bios` empty.
  template <typename Visit>
  void visit_release(Cell& cell, Visit&& visit,
                     std::source_location where = std::source_location::current()) {
    using Stored = std::remove_reference_t<Visit>;
    visit_release_with(
        cell, [](void* argument, BioList& bios) { (*static_cast<Stored*>(argument))(bios); },
        const_cast<void*>(static_cast<const void*>(std::addressof(visit))), where);
  }
  // Makes the first inmate the holder; the claim goes on. False: there was none, and the claim has
  // ended. Only for cells of one block: inmates of a range need not want its first block.
  [[nodiscard]] bool promote_or_release(
      Cell& cell, std::source_location where = std::source_location::current());

  [[nodiscard]] std::uint64_t range_blocks_max() const noexcept { return range_blocks_max_; }
  // Cells that are claimed. Exact when nobody is in the prison; takes no lock.
  [[nodiscard]] std::size_t held() const noexcept ABSL_NO_THREAD_SAFETY_ANALYSIS;

 private:
  struct Order {
    [[nodiscard]] bool operator()(const Cell& a, const Cell& b) const noexcept;
  };
  using Tree = boost::intrusive::set<
      Cell,
      boost::intrusive::member_hook<Cell, boost::intrusive::set_member_hook<>, &Cell::tree_hook_>,
      boost::intrusive::compare<Order>>;
  static constexpr std::uint32_t kShards = 16;
  struct alignas(64) Shard {
    SpinLock lock{"prison.shard"};
    Tree cells ABSL_GUARDED_BY(lock);
  };
  using VisitBios = void (*)(void* argument, BioList& bios);
  using GiveBackMemory = void (*)(void* argument);   // null: it is not given back

  [[nodiscard]] Shard& shard_of(const CellKey& key) noexcept;
  [[nodiscard]] static Cell* find_overlap(Tree& cells, const CellKey& key) noexcept;
  void claim(Tree& cells, const CellKey& key, Bio* holder, Cell& memory,
             std::source_location where);
  [[nodiscard]] Detained detain_with(const CellKey& key, Bio& bio, Cell& memory,
                                     GiveBackMemory give_back, void* argument,
                                     std::source_location where);
  void visit_release_with(Cell& cell, VisitBios visit, void* argument, std::source_location where);
  void unlink(Shard& shard, Cell& cell, std::source_location where)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard.lock);

  SyncObject object_;
  std::uint64_t range_blocks_max_;
  std::array<Shard, kShards> shards_;
};

// A claim without a bio that ends with its scope, unless it is kept. Inmates go to `on_release`.
// Made after Prison::try_lock answered that the caller holds the cell.
class CellHold {
 public:
  CellHold(Prison& prison, CellPool& pool, Cell& cell, BioList& inmates_to) noexcept
      : prison_{&prison}, pool_{&pool}, cell_{&cell}, inmates_to_{&inmates_to} {}
  ~CellHold() { release(); }
  CellHold(CellHold&& other) noexcept
      : prison_{other.prison_},
        pool_{other.pool_},
        cell_{std::exchange(other.cell_, nullptr)},
        inmates_to_{other.inmates_to_} {}
  CellHold& operator=(CellHold&&) = delete;

  void release() {
    if (cell_ == nullptr) return;
    Cell& cell = *std::exchange(cell_, nullptr);
    prison_->release(cell, *inmates_to_);
    pool_->give(cell);
  }
  // The claim goes on; somebody else releases it.
  [[nodiscard]] Cell& keep() noexcept { return *std::exchange(cell_, nullptr); }

 private:
  Prison* prison_;
  CellPool* pool_;
  Cell* cell_;
  BioList* inmates_to_;
};

}   // namespace engine::io
