// Dirty blocks go back to the origin when it has time for them, and stay where they are.
#include "engine/cache/cache.h"

namespace engine::cache {

// Without ticks nobody knows when the origin was used.
WritebackUrgency Cache::urgency() const noexcept {
  const bool busy = options_.tick_interval != Nanos{0} && (origin_busy_ || origin_used_.peek());
  return busy ? WritebackUrgency::busy : WritebackUrgency::idle;
}

// A block whose cell is taken is in use: it is left alone until the next round. After a failure
// nothing is tried before the next tick.
void Cache::write_back() {
  while (!writeback_failed_ && dirty_->count() != 0 && may_migrate() && spare_bandwidth()) {
    const std::optional<Mapping> work = policy_->writeback_work(urgency());
    if (!work) return;
    CacheCell* const cell =
        worker_cells_.try_take(std::source_location::current(), CellHome::worker);
    if (cell == nullptr) {
      policy_->set_dirty(work->origin);
      return;
    }
    if (!prison_.try_lock(key_of(work->origin), *cell)) {
      policy_->set_dirty(work->origin);
      give_cell(*cell);
      return;
    }
    wait_for_io(make_migration(Migration::Stage::writing_back, work->origin, work->at, *cell));
  }
}

// The policy called the block clean when it gave it out, while the core's bit never changed. So it
// has to be told of a failure, whatever the bit says.
void Cache::written_back(Migration& migration) {
  if (migration.status == Errc::ok) {
    mark_clean(migration.block, migration.place);
  } else {
    writeback_failed_ = true;
    policy_->set_dirty(migration.block);
  }
  release_cell(*migration.cell);
  end_migration(migration);
}

}   // namespace engine::cache
