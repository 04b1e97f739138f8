// Commits, failures and modes. Worker only.
//
//   write -> read_only   a change of the metadata failed: it was rolled back and wants checking
//   -> fail              an abort failed, or needs_check could not be recorded
//
// In the two lower modes nothing moves any more; bios go where memory says, which is right, since
// every mapping in it has been committed.
#include "engine/cache/cache.h"

namespace engine::cache {

void Cache::set_mode(CacheMode next, const char* reason) {
  const CacheMode old = mode_.peek();
  if (next <= old) return;
  if (next == CacheMode::fail) {
    metadata_->fail_now();
  } else {
    metadata_->set_read_only();
  }
  mode_.store(next);
  trace_event(OpKind::mode_change, &object_, std::source_location::current(),
              static_cast<std::uint64_t>(old), static_cast<std::uint64_t>(next), 0, reason);
  owner_.event();
}

void Cache::metadata_failed(const char* operation, const Error& error) {
  static_cast<void>(error);
  if (mode() != CacheMode::write) return;   // it has been dealt with
  if (!metadata_->abort()) {
    set_mode(CacheMode::fail, "the transaction could not be aborted");
  } else if (!metadata_->set_needs_check()) {
    set_mode(CacheMode::fail, "needs_check could not be recorded");
  } else {
    set_mode(CacheMode::read_only, operation);
  }
}

// A stage that ends may lead to the next without any I/O, and so to another commit.
void Cache::commit_batch() {
  while (!uncommitted_.empty()) {
    MigrationList batch;
    const auto done = commit();
    batch.swap(uncommitted_);
    while (!batch.empty()) {
      Migration& migration = batch.front();
      batch.pop_front();
      if (done) {
        committed(migration);
      } else {
        roll_back(migration);
      }
    }
  }
}

// On failure the metadata is as it was before the changes that wait.
Result<void> Cache::commit() {
  if (mode() != CacheMode::write) return fail(Errc::read_only, 0, "the cache's metadata is fixed");
  trace_event(OpKind::commit_begin, &object_, std::source_location::current());
  Result<void> done = flush_for_commit();
  if (!done) {
    // No fault of the metadata's, nothing of which has been written.
    for (Migration& migration : uncommitted_) {
      if (auto undone = undo_change(migration); !undone) {
        metadata_failed("undo", undone.error());
        break;
      }
    }
  } else if (done = metadata_->commit(); !done) {
    metadata_failed("commit", done.error());
  }
  trace_event(OpKind::commit_end, &object_, std::source_location::current(), 0,
              static_cast<std::uint64_t>(done ? Errc::ok : done.error().code));
  return done;
}

// Metadata must not say what the devices do not hold yet.
Result<void> Cache::flush_for_commit() {
  bool enters = false;
  bool leaves = false;
  for (const Migration& migration : uncommitted_) {
    enters = enters || migration.stage == Migration::Stage::promoting;
    leaves = leaves || migration.stage != Migration::Stage::promoting;
  }
  if (enters) ENGINE_TRY(flush_and_wait(fast_));
  if (leaves && origin_unflushed_) {
    ENGINE_TRY(flush_and_wait(origin_));
    origin_unflushed_ = false;
  }
  return {};
}

}   // namespace engine::cache
