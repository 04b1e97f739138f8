// What happens to synchronisation objects, bios and the engine's own state, in one vocabulary.
//
// An operation appears twice at most: as a *point* just before it happens, where a scheduler may
// choose who goes on (executor.h), and as an *event* when it has happened, for whoever watches:
// traces, and checkers such as lock order. Both cost one predictable branch when nobody listens.
#pragma once

#include <cstdint>
#include <source_location>

namespace engine {

enum class ObjectKind : std::uint8_t {
  none,
  fiber,
  mutex,
  rw_lock,
  spin_lock,
  condition,
  completion,
  rcu,
  ref_count,
  atomic,
  variable,
  timer,
  work_queue,
  device,
  bio,
  cell,
  pool,
  thin,
  mapped_device,
};

// Anything that fibers meet at. `id` is the ordinal of its construction in this execution, so it is
// the same in every run of one seed; the address never leaves the process.
//
// Sealed from construction to destruction, by its id and its place: who is handed one that is gone,
// or other bytes that lie there now, can tell before it believes the rest. Of such bytes one in
// eight million would pass.
struct SyncObject {
  SyncObject(ObjectKind object_kind, const char* object_name) noexcept;
  // State without points or events of its own: its id is out of the others' row.
  enum class Quiet : bool { yes };
  static constexpr std::uint32_t kQuietId = 1U << 31U;
  SyncObject(Quiet quiet, const char* object_name) noexcept;
  ~SyncObject();
  // The same object, for events that come when it may be gone.
  SyncObject(const SyncObject& other) noexcept
      : name{other.name}, id{other.id}, kind{other.kind}, seal{own_seal() & kSealBits} {}
  SyncObject& operator=(const SyncObject&) = delete;

  [[nodiscard]] bool lives() const noexcept { return seal == own_seal(); }
  // It has lived there, and its memory is still as it left it but for the name, which may be gone.
  [[nodiscard]] bool is_destroyed() const noexcept { return seal == (own_seal() ^ kBroken); }

  const char* name;   // a string literal, "pool.metadata", or its owner's, as long as that lives
  std::uint32_t id;
  ObjectKind kind : 8;
  std::uint32_t seal : 24;

 private:
  static constexpr std::uint32_t kSealBits = 0xFFFFFF;   // for compilers
  static constexpr std::uint32_t kBroken = 1;            // an even seal
  // Odd, so that memory of zeroes has none.
  [[nodiscard]] std::uint32_t own_seal() const noexcept {
    const auto place = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(this));
    const std::uint64_t mixed = (place ^ std::uint64_t{id} << 40U) * 0x9E3779B97F4A7C15U;
    return static_cast<std::uint32_t>(mixed >> 40U) | 1U;
  }
};
static_assert(sizeof(SyncObject) == 16);   // every lock and count has one

enum class OpKind : std::uint8_t {
  // Points and events of the primitives.
  mutex_lock,   // event: name = "tried" where nobody would have waited; of read_lock, too
  mutex_try_lock,
  mutex_unlock,
  read_lock,
  read_unlock,
  write_lock,
  write_unlock,
  spin_lock,
  spin_unlock,
  condition_wait,
  condition_notify,
  completion_wait,
  completion_signal,
  rcu_read_lock,
  rcu_read_unlock,
  rcu_synchronize,
  ref_get,
  ref_put,
  atomic_load,
  atomic_store,
  atomic_rmw,
  variable_read,
  variable_write,
  timer_arm,
  timer_cancel,
  timer_fire,
  work_queue,
  work_run,
  work_done,
  yield,
  // Events of fibers, told by executors.
  fiber_spawn,
  fiber_start,
  fiber_exit,
  fiber_park,
  fiber_unpark,
  // A bio's life: `object` is the device, a = sector, b = sectors, c = BioOp | flags << 8.
  bio_submit,     // point and event: the caller hands it to the device
  bio_effect,     // event: the device's contents changed (writes, discards) or were read
  bio_complete,   // event: end_io is about to run; c = Errc
  // The engine's own state, events only.
  cell_detain,        // a = kind and thin id, b = first block, c = 1 holder, 0 inmate
  cell_release,       // a, b as above
  data_block_alloc,   // a = data block
  data_block_ref,     // a = data block, b = new count
  mapping_insert,     // a = thin id, b = virtual block, c = data block
  mapping_remove,     // a = thin id, b = first virtual block, c = count
  commit_begin,       // a = transaction id
  commit_end,         // a = transaction id, b = Errc
  mode_change,        // a = old mode, b = new mode; name = reason
  discard_passdown,   // a = first data block, b = count
  discard_done,       // a = first data block, b = count
  control,            // a control action begins: name says which
  control_done,       // a = Errc
  // Events of sim/library's threads: `object` is where they are joined, name theirs.
  thread_start,   // the fiber_spawn that follows is the thread's
  thread_join,
  note,   // free for scenarios: name and three numbers
};

// Reads commute with each other, and so do additions; nothing else does.
enum class Access : std::uint8_t { none, read, write, add };
[[nodiscard]] constexpr bool changes(Access access) noexcept {
  return access == Access::write || access == Access::add;
}

// One operation about to happen. Built on the stack per operation: keep it small.
struct Point {
  OpKind op{};
  Access access{};
  const SyncObject* object = nullptr;
  std::source_location where;
};

struct Event {
  OpKind op{};
  const SyncObject* object = nullptr;
  std::source_location where;
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  std::uint64_t c = 0;
  const char* name = nullptr;   // a string literal
};

}   // namespace engine
