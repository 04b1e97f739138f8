// The thin target: one virtual device on a pool, and the entry of its I/O.
//
// Lifetime. A thin is published to the pool's list of active thins at the very end of its
// construction. Others reach it through that list only, and keep it by pinning it: inside a read
// section try_pin(), then leave the section. Destruction, in this order and no other:
//   1. unlink it, so that nobody finds it any more;
//   2. wait for a grace period: those who found it before have pinned it, or given up;
//   3. drop the reference it was born with;
//   4. wait until the pins are gone.
// A count that has reached zero never rises again: RefCount sees to it.
//
// The fast path (map, on the caller's thread) neither blocks nor allocates: it claims the virtual
// block, looks the mapping up in memory, counts the bio and only then ends the claim. What it
// cannot decide goes to the pool's worker, with the claim if it has one. Once a bio has been handed
// over it may end, and the thin with it, before map() returns; so all of map() is a read section,
// which step 2 above waits for.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <boost/intrusive/list.hpp>

#include "engine/fiber/atomic.h"
#include "engine/fiber/completion.h"
#include "engine/fiber/ref_count.h"
#include "engine/fiber/spin_lock.h"
#include "engine/io/target.h"
#include "engine/thin/bio_state.h"
#include "engine/thin/pool_registry.h"

namespace engine::thin {

using CellList = boost::intrusive::list<
    io::Cell,
    boost::intrusive::member_hook<io::Cell, boost::intrusive::list_member_hook<>, &io::Cell::hook>,
    boost::intrusive::constant_time_size<false>>;

// All cells here are PoolCells.
[[nodiscard]] inline PoolCell& pop_cell(CellList& cells) noexcept {
  io::Cell& cell = cells.front();
  cells.pop_front();
  return static_cast<PoolCell&>(cell);
}

struct ThinParams {
  Sector begin{0};
  std::uint64_t sectors = 0;
  ThinId id{0};
};

class ThinDevice final : public io::Target {
 public:
  // Suspends. Parses `args`, opens the devices, publishes the thin.
  static Result<std::unique_ptr<io::Target>> create(PoolRegistry& pools,
                                                    const io::TargetContext& context,
                                                    const io::TargetArgs& args);
  // `metadata` was opened by the caller and is closed by the destructor. Not yet published.
  ThinDevice(const ThinParams& params, PoolRef pool, io::DeviceRef pool_device,
             io::DeviceRef origin, io::DeviceClaim origin_claim, io::OwnerDevice& owner,
             OpenThin& metadata);
  ~ThinDevice() override;

  io::MapResult map(io::MappedBio& bio) override;
  io::EndResult end_io(io::MappedBio& bio, Errc& status) override;
  void presuspend(io::SuspendKind kind) override;
  void presuspend_undo() override;
  void postsuspend() override;
  Result<void> preresume() override;
  std::string status(io::StatusCommit commit) override;
  [[nodiscard]] std::string table_line() const override;
  [[nodiscard]] io::TargetLimits limits() const noexcept override;
  void for_each_device(const std::function<void(const io::DeviceRef&)>& visit) const override;
  [[nodiscard]] std::string_view type_name() const noexcept override { return "thin"; }

  [[nodiscard]] ThinId id() const noexcept { return id_; }
  [[nodiscard]] Pool& pool() const noexcept { return *pool_; }
  [[nodiscard]] OpenThin& metadata() const noexcept { return metadata_; }
  [[nodiscard]] io::OwnerDevice& owner() const noexcept { return owner_; }
  [[nodiscard]] VirtBlock block_of(const io::MappedBio& bio) const noexcept;

  // The external origin, null when there is none, and how much of it may be read.
  [[nodiscard]] BlockDevice* origin() const noexcept {
    return origin_ ? &origin_.device() : nullptr;
  }
  [[nodiscard]] std::uint64_t origin_sectors() const noexcept { return origin_sectors_; }
  // Suspends. How many mapped devices bios of its own may pass above the pool, with it: by its
  // active table, which need not be the one that this thin stands in.
  [[nodiscard]] std::size_t depth() const;

  // --- Bios for the worker. Any context.
  void defer(io::MappedBio& bio);
  void defer_all(io::BioList& bios);
  void defer_cell(PoolCell& cell);

  // --- For the worker.
  void take_deferred(io::BioList& bios, CellList& cells);
  // Back to the front of the lists: there was no memory to go on.
  void put_back(io::BioList& bios, CellList& cells);
  // They wait for data space.
  void queue_for_retry(io::BioList& bios);
  void take_retries(io::BioList& bios);
  // In requeue mode whatever reaches the worker is handed back to the core.
  [[nodiscard]] bool requeueing() const { return requeueing_.load(); }
  void set_requeueing(bool on) { requeueing_.store(on); }
  // The core waits for every bio, and no timeout will end the wait for space.
  [[nodiscard]] bool draining() const noexcept { return draining_; }
  void set_draining(bool on) noexcept { draining_ = on; }
  // All of these, and of them those that wait for data space.
  [[nodiscard]] std::size_t queued() const;
  [[nodiscard]] std::size_t waiting_for_space() const;

  // --- Lifetime.
  // False: it is going.
  [[nodiscard]] bool try_pin() { return refs_.get_unless_zero(); }
  // The caller must have pinned it, or have a bio of it.
  void pin() { refs_.get(); }
  void unpin();

 private:
  friend class ActiveThins;

  io::MapResult map_block(io::MappedBio& bio);
  io::MapResult map_claimed(io::MappedBio& bio, PoolCell& cell);
  void close();

  const ThinId id_;
  // The pool is let go before its device may be removed.
  io::DeviceRef pool_device_;
  io::DeviceRef origin_;
  io::DeviceClaim origin_claim_;   // goes before the origin does
  PoolRef pool_;
  std::uint64_t origin_sectors_ = 0;   // as of the last resume
  io::OwnerDevice& owner_;
  OpenThin& metadata_;

  mutable SpinLock lock_{"thin"};
  io::BioList deferred_bios_ ABSL_GUARDED_BY(lock_);
  CellList deferred_cells_ ABSL_GUARDED_BY(lock_);
  io::BioList retry_bios_ ABSL_GUARDED_BY(lock_);
  Atomic<bool> requeueing_{"thin.requeueing", false};

  bool draining_ = false;   // the worker's

  RefCount refs_{"thin.refs"};
  Completion unpinned_{"thin.unpinned"};
  bool published_ = false;

  // --- For ActiveThins.
  Atomic<ThinDevice*> next_{"thin.next", nullptr};
  ThinDevice* previous_ = nullptr;   // guarded by the list's lock
  Atomic<bool> linked_{"thin.linked", false};
  std::uint64_t ordinal_ = 0;      // in the order of publication
  bool quieted_by_pool_ = false;   // guarded by the list's lock
};

}   // namespace engine::thin
