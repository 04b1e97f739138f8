// What decides which blocks of the origin are worth a place on the fast device.
//
// Pure bookkeeping: no I/O, no suspending, no allocation after construction and no clock but the
// one that tick() hands over. The core (cache_device, the worker, migrations) carries out what a
// policy decides, and undoes what failed with remove_mapping() or force_mapping(), which therefore
// cannot fail.
//
// A policy's map runs *ahead* of the truth for as long as a migration takes: after New and Replace
// it already has the new mapping. That is safe because whoever would ask for one of the two blocks
// must hold its cell first, and the migration holds both. Hence, for map():
//
//   1. Before it unhooks a victim, a policy takes the victim's cell through the locker, inside its
//      own lock. Refused: nothing may have changed; it tries another or answers Miss. Never waits.
//   2. Granted: the cell belongs to the core from then on, so the policy must answer Replace with
//      exactly that victim. There is no way to fail in between, and no second call.
//   3. New and Replace only with `Migrate::allowed`, which a caller's context never grants.
//   4. The victim may be dirty; the core copies it back. Then the place is clean for the newcomer.
//   5. What a policy knows of dirtiness may lag behind the core in either direction, and only while
//      the block's cell is held. The core decides.
//
// Locking: a policy locks itself, with a spin lock of its own; any method may be called by several
// threads at once, in the contexts it names. Order: nothing of the core but `prison.shard` is ever
// taken under a policy's lock, so the core may hold what it likes when it calls.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/base/result.h"
#include "engine/base/units.h"
#include "engine/cache/blocks.h"

namespace engine::cache {

// The cells of victims. Implemented by the worker as a try-lock in the prison, without a bio.
class CellLocker {
 public:
  // True: the cell of `victim` is held for the core. Called under the policy's lock, at most once
  // with success for each map(); takes nothing but the prison's lock, and does not wait.
  [[nodiscard]] virtual bool try_lock(OriginBlock victim) = 0;

 protected:
  ~CellLocker() = default;
};

// For contexts in which no victim may be chosen: any call is the policy's mistake.
class NoVictims final : public CellLocker {
 public:
  [[nodiscard]] bool try_lock(OriginBlock victim) override;
};

enum class Direction : bool { read, write };
enum class Wait : bool { never, allowed };      // for the policy's lock, or whatever it needs
enum class Migrate : bool { never, allowed };   // New and Replace are possible answers
// Copied: a promotion reads the origin first. Fast: it need not (the block is discarded, or the bio
// writes all of it), so the place is all that it costs.
enum class Promotion : bool { copied, fast };

struct MapRequest {
  OriginBlock block;
  Direction direction = Direction::read;
  Wait wait = Wait::never;
  Migrate migrate = Migrate::never;
  Promotion promotion = Promotion::copied;
};

// The block is in the cache.
struct Hit {
  CacheBlock at;
  friend bool operator==(const Hit&, const Hit&) = default;
};
// It is not, and stays on the origin.
struct Miss {
  friend bool operator==(const Miss&, const Miss&) = default;
};
// It goes to a free place: already recorded. The core copies and commits, or calls remove_mapping.
struct New {
  CacheBlock at;
  friend bool operator==(const New&, const New&) = default;
};
// It takes the place of `victim`, whose cell is now the core's: already recorded, the victim is
// gone from the policy. The core writes the victim back if it is dirty, then copies and commits; or
// it calls force_mapping(block, victim), or, past the demotion, remove_mapping(block).
struct Replace {
  OriginBlock victim;
  CacheBlock at;
  friend bool operator==(const Replace&, const Replace&) = default;
};
// Only with Wait::never or Migrate::never: ask again where both are allowed. Nothing changed but
// statistics. With Wait::allowed the core may take it for a Miss.
struct WouldBlock {
  friend bool operator==(const WouldBlock&, const WouldBlock&) = default;
};
using Decision = std::variant<Hit, Miss, New, Replace, WouldBlock>;

struct Mapping {
  OriginBlock origin;
  CacheBlock at;
  friend bool operator==(const Mapping&, const Mapping&) = default;
};

enum class WritebackUrgency : bool {
  idle,   // the origin has nothing better to do: anything that has been left alone for a while
  busy,   // only what cannot wait
};

// Written beside the hints; hints of another major version are not used.
struct PolicyVersion {
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  std::uint32_t patch = 0;
  friend bool operator==(const PolicyVersion&, const PolicyVersion&) = default;
};

struct PolicySetting {
  std::string_view key;   // a string literal
  std::uint64_t value = 0;
  friend bool operator==(const PolicySetting&, const PolicySetting&) = default;
};

class Policy {
 public:
  virtual ~Policy() = default;
  Policy() = default;
  Policy(const Policy&) = delete;
  Policy& operator=(const Policy&) = delete;

  // Caller context (Wait::never, Migrate::never, a NoVictims) or worker. The caller holds the cell
  // of the block.
  [[nodiscard]] virtual Decision map(const MapRequest& request, CellLocker& victims) = 0;

  // Any context; after the core's own bit changed. The caller should hold the block's cell. A block
  // that is not mapped is ignored: its next owner may have come meanwhile.
  virtual void set_dirty(OriginBlock block) = 0;
  virtual void clear_dirty(OriginBlock block) = 0;

  // Worker, before any I/O. The mapping starts clean; set_dirty() may follow. `hint`: what hint()
  // gave at the last clean shutdown, if it can be trusted. Errors: `invalid`, the place is out of
  // range; `exists`, the block or the place is mapped already. Both leave all as it was.
  virtual Result<void> load_mapping(const Mapping& mapping, std::optional<std::uint32_t> hint) = 0;

  // Worker. What stands in a place; nothing if it is free. O(1).
  [[nodiscard]] virtual std::optional<OriginBlock> mapping_of(CacheBlock place) const = 0;
  // Worker; the caller holds the cell of `block`. Where it stands; nothing if it is not cached. No
  // use of the block: statistics do not change. O(1) in the average.
  [[nodiscard]] virtual std::optional<CacheBlock> lookup(OriginBlock block) = 0;
  // Worker, with no I/O running. What to store for a mapped place; 0 for a free one. O(1).
  [[nodiscard]] virtual std::uint32_t hint(CacheBlock place) const = 0;

  // Worker; the caller holds the cell of `block`, which is mapped: a promotion that failed, or an
  // invalidation. Its place becomes free.
  virtual void remove_mapping(OriginBlock block) = 0;
  // Worker; the caller holds the cells of both. `current` is mapped and `back` is not: a demotion
  // that failed. Afterwards `back` has the place and is dirty; if the core's bit says otherwise,
  // clear_dirty() follows.
  virtual void force_mapping(OriginBlock current, OriginBlock back) = 0;
  // Worker; the caller holds the cell of what it takes to stand there, `expected`. Frees the place.
  // Errors: not_found, nothing or something else stands there.
  virtual Result<void> remove_cblock(CacheBlock place, OriginBlock expected) = 0;

  // Worker. A dirty block to write back, marked clean inside the policy; the core's bit stays until
  // the copy is done. If nothing comes of it the core must say set_dirty() again.
  [[nodiscard]] virtual std::optional<Mapping> writeback_work(WritebackUrgency urgency) = 0;

  // Any context. `now` never goes back. Ages the statistics.
  virtual void tick(Nanos now) = 0;

  // Any context. Places that are mapped.
  [[nodiscard]] virtual std::uint32_t residency() const = 0;

  // Worker. Errors: `invalid`, no such key or no such value.
  virtual Result<void> set_config(std::string_view key, std::uint64_t value) = 0;
  // In the order in which a status line shows them.
  [[nodiscard]] virtual std::vector<PolicySetting> config() const = 0;

  // Constant. The name is the real one, even when the policy was asked for by an alias.
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;
  [[nodiscard]] virtual PolicyVersion version() const noexcept = 0;
  // Bytes of a hint on disk: 4, or 0 for a policy that keeps none.
  [[nodiscard]] virtual std::uint32_t hint_size() const noexcept = 0;
};

// Calls `visit(Mapping)` for every mapped place, in ascending order, without the policy's lock:
// visits may suspend, and see a consistent map only if nothing else is going on.
template <typename Visit>
void walk_mappings(const Policy& policy, std::uint32_t cache_blocks, Visit&& visit) {
  for (std::uint32_t place = 0; place < cache_blocks; ++place) {
    if (const auto origin = policy.mapping_of(CacheBlock{place}))
      visit(Mapping{*origin, CacheBlock{place}});
  }
}

struct PolicyParams {
  std::uint32_t cache_blocks = 0;
  std::uint64_t origin_blocks = 0;   // whole ones
  std::uint32_t block_sectors = 0;
};

// A kind of policy, by the name that tables use. Stateless, or a holder of what its policies share.
class PolicyType {
 public:
  virtual ~PolicyType() = default;
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;
  // Errors: `invalid`, with the text that users see.
  [[nodiscard]] virtual Result<std::unique_ptr<Policy>> create(const PolicyParams& params) = 0;
};

// The policies that a system knows; passed to whoever constructs cache targets.
class PolicyRegistry {
 public:
  // `type` outlives the registry.
  void add(PolicyType& type) { types_.push_back(&type); }
  [[nodiscard]] PolicyType* find(std::string_view name) const noexcept;
  [[nodiscard]] std::span<PolicyType* const> types() const noexcept { return types_; }

 private:
  std::vector<PolicyType*> types_;
};

// The policies of the engine itself: smq (also as `default`, and as `mq` with its old tunables, of
// no effect) and cleaner.
class BuiltinPolicies {
 public:
  BuiltinPolicies();
  ~BuiltinPolicies();
  void add_to(PolicyRegistry& registry);

 private:
  std::vector<std::unique_ptr<PolicyType>> types_;
};

}   // namespace engine::cache
