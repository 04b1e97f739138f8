// A workload is data: a system, what each actor does to it, and what may go wrong meanwhile. It is
// generated and shrunk by RapidCheck, written and read as TOML, and run in either world.
//
// Every operation is total: one that makes no sense when its turn comes (a write to a thin that is
// not active) does nothing. So any workload with operations removed is a workload too, which is
// what shrinking lives on.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace scenarios {

enum class Verb : std::uint8_t {
  // Requests to a thin device.
  write,
  write_zeroes,
  read,
  discard,
  flush,
  // Messages to the pool, and the table actions that go with them.
  create_thin,       // message, then activate
  create_snap,       // suspend the origin where active, message, resume, activate the snapshot;
                     // with noflush the origin is left to the pool
  delete_thin,       // deactivate, then message
  activate,          // a thin known to the pool
  deactivate,        // its device is removed; the thin stays in the pool
  set_transaction,   // the transaction id goes up by one
  reserve_snap,      // metadata snapshot
  release_snap,
  // Control actions.
  bounce_thin,   // suspend and resume a thin
  bounce_pool,   // suspend and resume the pool
  reload_pool,   // load the same table again, suspend, resume
  remake_pool,   // removed with all its thins, and made again of what is on the disks
  load_thin,     // the same table into the inactive slot; a resume makes it the live one
  clear_thin,    // the inactive slot is emptied
  load_pool,
  clear_pool,
  contradict,   // a table into the inactive slot that the pool, or the cache, has to refuse
  grow_data,    // reload with one data block more, as far as the device reaches
  grow_metadata,
  status,   // of all devices, with their tables
  sleep,    // lets `sectors` milliseconds pass
  meet,     // waits until all other actors wait for this, too, or have ended
  // A cache, and the table actions that go with it.
  bounce_cache,   // suspend and resume
  load_cache,     // a table into the inactive slot, in `io_mode` and with `policy`
  clear_cache,    // the inactive slot is emptied
  reload_cache,   // load, suspend, resume
  remake_cache,   // the device is removed and made again
  resize_cache,   // as reload, with `sectors` blocks of the fast disk
  invalidate,     // message: cache blocks [sector, sector + sectors)
  threshold,      // message: a migration threshold of `sectors`
  rival,          // another device comes with a table on the same disks, and goes again
  // A stack, and the devices between its layers.
  bounce_stack,    // all suspended from the top down, and resumed from the bottom up
  bounce_linear,   // the linear device number `thin` from the top: same table, suspend, resume
  remake_stack,    // what stands on the lower layer is removed, from the top down, and made again
};
inline constexpr Verb kLastVerb = Verb::remake_stack;

// Of sectors of a volume.
[[nodiscard]] constexpr bool is_transfer(Verb verb) noexcept {
  return verb == Verb::write || verb == Verb::read || verb == Verb::write_zeroes ||
         verb == Verb::discard;
}

// What a table says otherwise than the pool or the cache in use; `setting`: what no policy knows.
enum class Contradiction : std::uint8_t { block_size, discards, data_device, setting };

enum class CacheIo : std::uint8_t { writeback, writethrough, passthrough };
// `adversary`: whatever the contract allows, by the schedule's choice. `direct`: every block that
// is asked for gets the one place that its number says, whoever is there.
enum class CachePolicy : std::uint8_t { smq, mq, cleaner, adversary, direct };

struct Operation {
  Verb verb = Verb::read;
  std::uint32_t thin = 0;
  std::uint32_t origin = 0;                                  // create_snap
  std::uint64_t sector = 0;                                  // requests
  std::uint64_t sectors = 0;                                 // requests; sleep: milliseconds
  bool fua = false;                                          // write, write_zeroes
  bool noflush = false;                                      // bounce_*, reload_*, create_snap
  CacheIo io_mode = CacheIo::writeback;                      // load_cache, reload_cache
  CachePolicy policy = CachePolicy::adversary;               // load_cache, reload_cache
  Contradiction contradiction = Contradiction::block_size;   // contradict
  friend bool operator==(const Operation&, const Operation&) = default;
};

struct Actor {
  std::string name;
  std::vector<Operation> operations;
  friend bool operator==(const Actor&, const Actor&) = default;
};

struct ThinSpec {
  std::uint32_t id = 0;
  std::uint64_t blocks = 0;   // virtual size
  bool external = false;      // unmapped blocks show the external origin
  friend auto operator<=>(const ThinSpec&, const ThinSpec&) = default;
};

enum class DiscardReads : std::uint8_t { zeroes, old_data, garbage };

enum class FamilyKind : std::uint8_t { thin, cache, stack };

struct CacheSpec {
  std::uint32_t blocks = 2;       // of the fast disk at first
  std::uint32_t blocks_max = 2;   // resizing reaches up to it
  std::uint64_t origin_blocks = 4;
  std::uint64_t tail_sectors = 0;   // of the origin, behind its whole blocks: never cached
  CacheIo io_mode = CacheIo::writeback;
  CachePolicy policy = CachePolicy::adversary;
  bool metadata2 = false;
  std::uint64_t threshold = 2048;   // migration_threshold, in sectors
  // In the end it is given a cleaner, while somebody goes on reading all of it, and taken away.
  bool drained = true;
  friend auto operator<=>(const CacheSpec&, const CacheSpec&) = default;
};

enum class StackShape : std::uint8_t { cache_over_thin, pool_over_cache };

// Thin 0 is the cache's origin, or the pool's data device is the cache.
struct StackSpec {
  StackShape shape = StackShape::cache_over_thin;
  std::uint32_t cache_block_sectors = 64;   // the pool's are the system's
  // Linear devices: over the data disk, between the layers, over thin 0 or the cache on it.
  bool linear_below = false;
  bool linear_between = false;
  bool linear_above = false;
  friend auto operator<=>(const StackSpec&, const StackSpec&) = default;
};

// What is built before the actors start. Sizes in the units their names say.
struct SystemSpec {
  FamilyKind family = FamilyKind::thin;
  std::uint64_t metadata_blocks = 64;
  std::uint64_t metadata_growth_blocks = 8;   // that each grow_metadata adds
  std::uint64_t data_blocks = 4;              // what the pool's table claims
  std::uint64_t data_device_blocks = 4;       // what the device holds; growing reaches up to it
  std::uint32_t block_sectors = 128;
  std::uint64_t low_water_blocks = 0;
  bool skip_block_zeroing = false;
  bool ignore_discard = false;
  bool no_discard_passdown = false;
  bool error_if_no_space = false;
  std::vector<ThinSpec> thins;   // created and activated before the actors start
  std::uint64_t external_sectors =
      0;                       // of the external origin, a disk that nobody writes; 0: none
  bool spare_disk = false;     // there is a second data disk, which nobody uses
  bool linear_above = false;   // users reach each thin through a linear device
  CacheSpec cache;
  StackSpec stack;
  std::uint32_t fan_out = 0;                 // B-tree entries a node; 0 as on Linux
  std::uint32_t cells = 0;                   // prison cells that may be out; 0 as by default
  std::uint32_t commit_interval_ms = 1000;   // 0: no periodic commit
  std::uint32_t no_space_timeout_ms = 60000;
  DiscardReads discard_reads = DiscardReads::garbage;
  friend auto operator<=>(const SystemSpec&, const SystemSpec&) = default;
};

// What a slow disk is slow at. Many are with discards alone.
enum class SlowAt : std::uint8_t { all, reads, writes, discards, flushes };

// How much may go wrong in one run. The tank decides when; none of it is sure to happen.
struct FaultSpec {
  std::uint32_t power_cuts = 0;
  std::uint32_t metadata_read_errors = 0;
  std::uint32_t metadata_write_errors = 0;
  std::uint32_t data_read_errors = 0;
  std::uint32_t data_write_errors = 0;
  // Writes, zeroes and discards for which the data disk has no room, as a thin file on a full file
  // system: no other transfer of it is the worse for it, flushes least of all.
  std::uint32_t data_no_space = 0;
  // Disks that are slow: many requests take that long. Nothing fails of it.
  std::uint32_t metadata_latency_ms = 0;
  std::uint32_t data_latency_ms = 0;
  SlowAt slow_at = SlowAt::all;   // stalls, too
  // Requests of each disk that take very long, whatever it is like otherwise.
  std::uint32_t stalls = 0;
  std::uint32_t stall_ms = 0;
  // What is not committed may go. A failed write of data is a reason too: a commit begins with a
  // flush of the data.
  [[nodiscard]] bool may_roll_back() const noexcept {
    return metadata_read_errors != 0 || metadata_write_errors != 0 || data_write_errors != 0;
  }
  [[nodiscard]] bool may_be_slow() const noexcept {
    return metadata_latency_ms != 0 || data_latency_ms != 0 || stalls != 0;
  }
  friend bool operator==(const FaultSpec&, const FaultSpec&) = default;
};

struct Workload {
  std::string scenario;
  SystemSpec system;
  FaultSpec faults;
  std::vector<Operation> setup;   // done one after the other, before the actors start
  std::vector<Actor> actors;
  friend bool operator==(const Workload&, const Workload&) = default;

  // A fault may keep the metadata from being changed any more, for good. A device this small may
  // run full in the middle of a commit, which is a failure like any other.
  [[nodiscard]] bool may_need_check() const noexcept {
    constexpr std::uint64_t kRoomyMetadataBlocks = 64;
    return faults.may_roll_back() || system.metadata_blocks < kRoomyMetadataBlocks;
  }
  // Metadata that has grown once has room for whatever is done afterwards.
  [[nodiscard]] bool growth_heals() const noexcept {
    constexpr std::uint64_t kRoomyGrowthBlocks = 64;
    return !faults.may_roll_back() && system.metadata_growth_blocks >= kRoomyGrowthBlocks;
  }
  // No request fails, but for want of space.
  [[nodiscard]] bool is_calm() const noexcept {
    if (system.family != FamilyKind::thin && faults.data_no_space != 0) return false;
    return faults.power_cuts == 0 && faults.data_read_errors == 0 && !may_need_check();
  }

  // Operations of the actors and of the set-up: what "at most N operations" counts.
  [[nodiscard]] std::size_t operation_count() const noexcept {
    std::size_t count = setup.size();
    for (const Actor& actor : actors)
      count += actor.operations.size();
    return count;
  }
};

[[nodiscard]] std::string_view to_string(Verb verb) noexcept;
[[nodiscard]] std::string_view to_string(FamilyKind family) noexcept;
[[nodiscard]] std::string_view to_string(StackShape shape) noexcept;
[[nodiscard]] std::string_view to_string(CacheIo mode) noexcept;
[[nodiscard]] std::string_view to_string(CachePolicy policy) noexcept;
[[nodiscard]] std::string_view to_string(Contradiction what) noexcept;
[[nodiscard]] std::string_view to_string(SlowAt what) noexcept;
// "write thin=0 sector=8 sectors=1 fua": the text a person reads and the TOML form holds.
[[nodiscard]] std::string to_string(const Operation& operation);

}   // namespace scenarios
