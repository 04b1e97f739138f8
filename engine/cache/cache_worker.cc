// The worker's round: migrations whose I/O has ended, then what has been deferred, then blocks to
// write back, then one commit for all that changed.
#include "engine/base/check.h"
#include "engine/cache/cache.h"

namespace engine::cache {

// Takes victims' cells while the policy holds its lock: nothing here waits.
class Cache::VictimLocker final : public CellLocker {
 public:
  explicit VictimLocker(Cache& cache) noexcept : cache_{cache} {}

  bool try_lock(OriginBlock victim) override {
    ENGINE_CHECK(taken_ == nullptr, "the policy takes the cells of two victims");
    CacheCell* const memory =
        cache_.worker_cells_.try_take(std::source_location::current(), CellHome::worker);
    if (memory == nullptr) return false;
    if (!cache_.prison_.try_lock(key_of(victim), *memory)) {
      cache_.worker_cells_.give(*memory);
      return false;
    }
    victim_ = victim;
    taken_ = memory;
    return true;
  }

  [[nodiscard]] CacheCell* taken() const noexcept { return taken_; }
  [[nodiscard]] OriginBlock victim() const noexcept { return victim_; }

 private:
  Cache& cache_;
  CacheCell* taken_ = nullptr;
  OriginBlock victim_;
};

void Cache::round() {
  process_migrations();
  process_deferred();
  write_back();
  commit_batch();
  signal_if_drained();
  arm_tick();
}

void Cache::tick() {
  tick_armed_ = false;
  active_.store(false);
  writeback_failed_ = false;
  origin_busy_ = origin_used_.exchange(false);
  policy_->tick(worker_.executor().now());
  round();
}

// Only while there is something to do: an idle cache does not wake up.
void Cache::arm_tick() {
  if (tick_armed_ || suspended_.load() || options_.tick_interval == Nanos{0}) return;
  if (!active_.load() && (dirty_->count() == 0 || mode() != CacheMode::write)) return;
  tick_armed_ = true;
  tick_.queue_after(worker_, options_.tick_interval);
}

void Cache::process_deferred() {
  io::BioList bios;
  io::BioList discards;
  CellList cells;
  starved_.store(false);
  {
    const SpinGuard guard{lock_};
    bios.swap(deferred_bios_);
    discards.swap(quiesced_discards_);
    cells.swap(deferred_cells_);
  }
  while (!discards.empty())
    discard_goes_on(*state_of(io::pop(discards)).discard);
  cells.splice(cells.begin(), waiting_cells_);
  while (!cells.empty()) {
    auto& cell = static_cast<CacheCell&>(cells.front());
    cells.pop_front();
    process_cell(cell);
  }
  discards.swap(waiting_discards_);
  while (!discards.empty())
    process_discard(io::pop(discards));
  io::BioList stalled;
  while (!bios.empty()) {
    io::MappedBio& bio = io::pop(bios);
    if (!process_bio(bio)) stalled.push_back(bio);
  }
  const SpinGuard guard{lock_};
  deferred_bios_.splice(deferred_bios_.begin(), stalled);
}

bool Cache::process_bio(io::MappedBio& bio) {
  if (bio.op == BioOp::discard) {
    process_discard(bio);
    return true;
  }
  if (state_of(bio).step == Step::awaiting_legs) return begin_legs(bio);
  CacheCell* const cell = try_take_cell(worker_cells_, CellHome::worker);
  if (cell == nullptr) return false;
  if (claim(key_of(block_of(bio)), bio, *cell) == io::Prison::Detained::holder) process_cell(*cell);
  return true;
}

// Whoever gives a cell back after the mark has been set wakes the worker; whoever did so before
// has left one.
CacheCell* Cache::try_take_cell(io::BoundedPool<CacheCell>& from, CellHome home) {
  if (CacheCell* const cell = from.try_take(std::source_location::current(), home); cell != nullptr)
    return cell;
  starved_.store(true);
  return from.try_take(std::source_location::current(), home);
}

bool Cache::may_migrate() const {
  return mode() == CacheMode::write && serving_.peek() && !stopping_.load() && !suspended_.load() &&
         migrations_live_ < options_.migrations_max;
}

bool Cache::spare_bandwidth() const noexcept {
  return (migrations_live_ + 1) * config_.block_sectors < migration_threshold_;
}

// A device that was suspended by another, and so resumed without its targets being asked, admits
// writes only from here on.
bool Cache::ready_to_write() {
  if (serving_.peek()) return true;
  if (mode() != CacheMode::write || !begin_service()) return false;
  suspended_.store(false);
  return true;
}

void Cache::process_cell(CacheCell& cell) {
  io::MappedBio& bio = cell.bio();
  BioState& state = state_of(bio);
  if (state.step == Step::evicting) {
    evict(cell);
    return;
  }
  const bool writes = bio.op != BioOp::read;
  if (writes && !ready_to_write()) {
    fail_cell(cell, Errc::io_error);
    return;
  }
  const OriginBlock block = block_of(bio);
  const Promotion promotion = promotion_for(bio);
  const bool migrate = config_.io_mode != IoMode::passthrough && !state.stays && may_migrate() &&
                       (promotion == Promotion::fast || spare_bandwidth());
  VictimLocker victims{*this};
  const Decision decision = policy_->map({.block = block,
                                          .direction = writes ? Direction::write : Direction::read,
                                          .wait = Wait::allowed,
                                          .migrate = migrate ? Migrate::allowed : Migrate::never,
                                          .promotion = promotion},
                                         victims);
  const auto* const replace = std::get_if<Replace>(&decision);
  ENGINE_CHECK((replace == nullptr) == (victims.taken() == nullptr),
               "the policy takes a victim for block {} and does not use it, or the other way round",
               block);
  if (const auto* const hit = std::get_if<Hit>(&decision)) {
    serve_hit(cell, hit->at);
  } else if (const auto* const placed = std::get_if<New>(&decision)) {
    ENGINE_CHECK(migrate, "the policy moves block {} although it may not", block);
    promotions_.fetch_add(1, std::memory_order_relaxed);
    wait_for_io(make_migration(Migration::Stage::promoting, block, placed->at, cell));
  } else if (replace != nullptr) {
    ENGINE_CHECK(migrate, "the policy moves block {} although it may not", block);
    ENGINE_CHECK(replace->victim == victims.victim(), "the policy evicts block {}, not {}",
                 replace->victim, victims.victim());
    promotions_.fetch_add(1, std::memory_order_relaxed);
    demotions_.fetch_add(1, std::memory_order_relaxed);
    Migration& migration = make_migration(Migration::Stage::demoting, block, replace->at, cell);
    migration.victim = replace->victim;
    migration.victim_cell = victims.taken();
    wait_for_io(migration);
  } else {
    count_access(bio, HitCounters::Kind::miss);
    send(cell, Place{Place::Kind::origin});
  }
}

void Cache::serve_hit(CacheCell& cell, CacheBlock at) {
  io::MappedBio& bio = cell.bio();
  const bool writes = bio.op != BioOp::read;
  // Where a block cannot leave the cache both devices are written instead: the two stay equal.
  const bool stuck = state_of(bio).stays || mode() != CacheMode::write;
  if (config_.io_mode == IoMode::passthrough) {
    if (writes && !stuck) {
      invalidate(cell, at);   // and then it is a miss
      return;
    }
    count_access(bio, HitCounters::Kind::miss);
    if (!writes) {
      send(cell, Place{Place::Kind::bypassed, at});
    } else if (write_both(bio, cell, at) == io::MapResult::remapped) {
      bio.issue();
    }
    return;
  }
  count_access(bio, HitCounters::Kind::hit);
  if (writes && config_.io_mode == IoMode::writethrough && !dirty_->test(at)) {
    if (write_both(bio, cell, at) == io::MapResult::remapped) bio.issue();
  } else {
    send(cell, Place{Place::Kind::cached, at});
  }
}

void Cache::send(CacheCell& cell, const Place& place) {
  io::MappedBio& bio = cell.bio();
  count_in(bio, place);
  release_along(cell, place);
  bio.issue();
}

void Cache::fail_cell(CacheCell& cell, Errc status) {
  io::MappedBio& bio = cell.bio();
  release_cell(cell);
  finish(bio, status);
}

void Cache::retry_cell(CacheCell& cell) {
  io::MappedBio& bio = cell.bio();
  bio.rewind();
  state_of(bio).step = Step::arriving;
  state_of(bio).stays = true;
  defer_cell(cell);
}

}   // namespace engine::cache
