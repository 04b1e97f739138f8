// What a mapped device asks of the targets of its table, and what it gives to them.
//
// A mapped device cuts a submitted bio at target and block boundaries and makes one MappedBio per
// piece: the target maps that one and never sees the submitter's. So completion may consume it, and
// a lower device may use its hook, without anybody losing anything.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/result.h"
#include "engine/base/units.h"
#include "engine/env/bio.h"
#include "engine/env/env.h"
#include "engine/io/device_claims.h"

namespace engine::io {

class DeviceRef;
class MappedBio;
class Target;

// Whoever makes MappedBios: a mapped device, or a test.
class MappedBioCore {
 public:
  // Takes `bio` back. Any context; does not suspend.
  virtual void end_mapped(MappedBio& bio, Errc status) = 0;

 protected:
  ~MappedBioCore() = default;
};

// One piece of a submitted bio on its way through a target.
//
// Owned by the target from map() until it either goes to a lower device (MapResult::remapped or
// issue()), whence it comes back to Target::end_io, or is ended with end(). A target may change
// `sector`, `sectors`, `data`, `op`, `fua` and `device`, and may link it through `hook` while it
// owns it; `end_io` and `owner` belong to the core.
// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): the storage is emplace()'s to fill
class MappedBio final : public Bio {
 public:
  static constexpr std::size_t kStorage = 128;

  BlockDevice* device = nullptr;   // where issue() and MapResult::remapped send it

  // The piece as the target was given it; `mapped_sector` counts from the target's beginning.
  Sector mapped_sector{0};
  std::uint64_t mapped_sectors = 0;
  std::byte* mapped_data = nullptr;

  // Undoes what completion consumed and what the target redirected: sector, sectors and data are
  // again as map() found them. Whoever submits a bio for the second time needs it.
  void rewind() noexcept {
    sector = mapped_sector;
    sectors = mapped_sectors;
    data = mapped_data;
  }

  void remap(BlockDevice& to, Sector at) noexcept {
    device = &to;
    sector = at;
  }
  // Any context. Sends it to `device`; Target::end_io follows. For targets that answered
  // `submitted`, or kept it in end_io; Bio::submitted must be false.
  void issue(std::source_location where = std::source_location::current()) {
    ENGINE_CHECK(device != nullptr, "a mapped bio is issued to no device");
    device->submit(*this, where);
  }
  // Any context. Ends it for good, without Target::end_io. Errc::requeue hands it back to the
  // mapped device, which keeps it until resume; only after presuspend(noflush) has begun.
  void end(Errc ended) { core->end_mapped(*this, ended); }

  // The target's own bytes, as long as it owns the bio or the bio is in flight for it. Not
  // initialised, never destroyed.
  template <typename T, typename... Args>
  T& emplace(Args&&... args) noexcept {
    static_assert(sizeof(T) <= kStorage && alignof(T) <= alignof(std::max_align_t));
    static_assert(std::is_trivially_destructible_v<T>);
    return *new (storage_.data()) T{std::forward<Args>(args)...};
  }
  template <typename T>
  [[nodiscard]] T& storage() noexcept {
    static_assert(sizeof(T) <= kStorage && alignof(T) <= alignof(std::max_align_t));
    return *std::launder(reinterpret_cast<T*>(storage_.data()));
  }

  [[nodiscard]] static MappedBio& from(Bio& bio) noexcept { return static_cast<MappedBio&>(bio); }

  // --- For the core. ---
  MappedBioCore* core = nullptr;
  Target* target = nullptr;
  Bio* parent = nullptr;       // the submitter's bio
  void* core_data = nullptr;   // null when this is the whole of its parent

 private:
  alignas(std::max_align_t) std::array<std::byte, kStorage> storage_;
};

enum class MapResult : std::uint8_t {
  remapped,    // the core submits the bio to its `device`
  submitted,   // the target owns it, or has already ended it: the core does not touch it again
  requeue,     // as end(Errc::requeue)
  kill,        // as end(Errc::io_error)
};

enum class EndResult : std::uint8_t {
  done,   // the core ends the bio with the status
  kept,   // the target owns it again, and ends it later with end() or issues it again
};

// A no-flush suspend does not wait for bios that the target has queued: they are handed back.
enum class SuspendKind : std::uint8_t { flush, noflush };

struct TargetLimits {
  // Pieces never cross a multiple of this, counted from the target's beginning; 0: no such limit.
  // Discards are exempt.
  std::uint64_t block_sectors = 0;
  // Discards are cut to this length; 0: the target takes none and they end with not_supported.
  std::uint64_t discard_sectors_max = 0;
  std::uint32_t discard_granularity_sectors = 0;
  // Reads and writes are cut to this length.
  std::uint64_t transfer_sectors_max = 2048;
  std::uint32_t logical_block_sectors = 1;
  // False: write_zeroes ends with not_supported.
  bool write_zeroes = false;
  // Hints for whoever does I/O to the mapped device; 0: none.
  std::uint32_t io_min_sectors = 0;
  std::uint32_t io_opt_sectors = 0;
};

// For a target that wants its status without a commit, or with.
enum class StatusCommit : bool { no, yes };

// One row of a table. Constructed and destroyed in worker context, where it may suspend; destroyed
// when none of its bios is in flight, after postsuspend if it ever resumed.
//
// Life: construct, (preresume, resume, presuspend, postsuspend)*, destroy. The table is active from
// preresume on. map() runs concurrently on several threads between resume and postsuspend.
// presuspend runs while bios still arrive; postsuspend when none is in flight and none will come.
class Target {
 public:
  Target(Sector begin, std::uint64_t sectors) noexcept : begin_{begin}, sectors_{sectors} {}
  virtual ~Target() = default;
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  // Caller context: must not block, and the contexts enforce it. `bio.sector` counts from the
  // target's beginning. A flush has no sectors; each target of a table gets one.
  virtual MapResult map(MappedBio& bio) = 0;
  // Completion context: a bio that was remapped or issued has come back, consumed. May change
  // `status`.
  virtual EndResult end_io(MappedBio& bio, Errc& status) {
    static_cast<void>(bio);
    static_cast<void>(status);
    return EndResult::done;
  }

  // All suspend; worker context. An internal suspend calls the same hooks, but after an internal
  // resume preresume and resume are not called: presuspend and postsuspend must leave the target
  // able to map. presuspend(noflush) may follow presuspend(flush), whose drain it hurries.
  virtual void presuspend(SuspendKind kind) { static_cast<void>(kind); }
  // The suspend that presuspend announced is not going to happen.
  virtual void presuspend_undo() {}
  virtual void postsuspend() {}
  // A failure leaves the device suspended.
  virtual Result<void> preresume() { return {}; }
  virtual void resume() {}
  // Suspends; at any time. From now on no bio waits for what a user would have to do: it fails.
  virtual void stop_queueing() {}

  // Suspends. Runs concurrently with I/O and with suspend; must not wait for a resume.
  virtual Result<std::string> message(std::span<const std::string_view> args) {
    return fail(Errc::invalid, args.size(), "the target takes no messages");
  }
  // Suspends. What `status` and `table` show after "<begin> <sectors> <type> "; may be empty.
  virtual std::string status(StatusCommit commit) {
    static_cast<void>(commit);
    return {};
  }
  [[nodiscard]] virtual std::string table_line() const = 0;

  // Constant from the end of preresume until the table leaves.
  [[nodiscard]] virtual TargetLimits limits() const noexcept = 0;
  // Any lower device that its bios may reach.
  virtual void for_each_device(const std::function<void(const DeviceRef&)>& visit) const {
    static_cast<void>(visit);
  }
  [[nodiscard]] virtual std::string_view type_name() const noexcept = 0;

  [[nodiscard]] Sector begin() const noexcept { return begin_; }   // in the mapped device
  [[nodiscard]] std::uint64_t sectors() const noexcept { return sectors_; }
  [[nodiscard]] Sector end() const noexcept { return begin_ + sectors_; }

 private:
  Sector begin_;
  std::uint64_t sectors_;
};

// The mapped device whose table a target stands in.
class OwnerDevice {
 public:
  [[nodiscard]] virtual std::string_view device_name() const noexcept = 0;
  [[nodiscard]] virtual BlockDevice& block_device() noexcept = 0;
  // Any context. Adds one to the event counter and wakes who waits for it.
  virtual void event() = 0;
  // By its user or internally; true from before postsuspend until after resume. Any context.
  [[nodiscard]] virtual bool suspended() const noexcept = 0;
  // Suspend. Nested internal suspends are counted. For targets whose device must be quiet while
  // another device (their pool) suspends.
  virtual void internal_suspend_noflush() = 0;
  virtual void internal_resume() = 0;
  // Suspends. How many mapped devices its bios may pass, one after the other, with it and without
  // `base` and what that stands on. `base` is not looked at: whoever asks may hold its locks.
  [[nodiscard]] virtual std::size_t depth_over(const OwnerDevice& base) = 0;

 protected:
  ~OwnerDevice() = default;
};

class DeviceRef;

// Devices by name: mapped devices of the system first, then plain ones.
class DeviceTable {
 public:
  // Suspends. A mapped device that is open cannot be removed. Errors: not_found, io_error.
  virtual Result<DeviceRef> open(std::string_view name) = 0;
  // The same for who will never write.
  virtual Result<DeviceRef> open_read_only(std::string_view name) = 0;

 protected:
  friend class DeviceRef;
  virtual void close(OwnerDevice& device) noexcept = 0;
  virtual ~DeviceTable() = default;
};

// An open device; closes it when it goes. Movable.
class DeviceRef {
 public:
  DeviceRef() = default;
  DeviceRef(BlockDevice& device, std::string name) noexcept
      : device_{&device}, name_{std::move(name)} {}
  DeviceRef(DeviceTable& table, OwnerDevice& mapped) noexcept
      : table_{&table}, device_{&mapped.block_device()}, mapped_{&mapped} {}
  ~DeviceRef() { reset(); }
  DeviceRef(DeviceRef&& other) noexcept
      : table_{other.table_},
        device_{std::exchange(other.device_, nullptr)},
        mapped_{std::exchange(other.mapped_, nullptr)},
        name_{std::move(other.name_)} {}
  DeviceRef& operator=(DeviceRef&& other) noexcept {
    if (this != &other) {
      reset();
      table_ = other.table_;
      device_ = std::exchange(other.device_, nullptr);
      mapped_ = std::exchange(other.mapped_, nullptr);
      name_ = std::move(other.name_);
    }
    return *this;
  }

  [[nodiscard]] explicit operator bool() const noexcept { return device_ != nullptr; }
  [[nodiscard]] BlockDevice& device() const noexcept { return *device_; }
  // Null for plain devices.
  [[nodiscard]] OwnerDevice* mapped() const noexcept { return mapped_; }
  // As a table line writes it.
  [[nodiscard]] std::string name() const {
    return mapped_ != nullptr ? std::string{mapped_->device_name()} : name_;
  }
  void reset() noexcept {
    if (mapped_ != nullptr) table_->close(*mapped_);
    mapped_ = nullptr;
    device_ = nullptr;
  }

 private:
  DeviceTable* table_ = nullptr;
  BlockDevice* device_ = nullptr;
  OwnerDevice* mapped_ = nullptr;
  std::string name_;
};

// What a target is constructed with. The references outlive the target.
struct TargetContext {
  const Env& env;
  DeviceTable& devices;
  DeviceClaims& claims;   // of all devices of the system
  OwnerDevice& owner;

  // Any context. Of a device of a pool or a cache, which `metadata` stands for (device_claims.h).
  [[nodiscard]] Result<DeviceClaim> claim(const DeviceRef& device, DeviceRole role,
                                          const DeviceRef& metadata) const;
};

struct TargetArgs {
  Sector begin{0};
  std::uint64_t sectors = 0;
  std::span<const std::string_view> words;   // after the target's name; valid during create()
  std::size_t targets_in_table = 1;
};

// A kind of target, by name. Stateless, or a holder of what its targets share (a table of pools).
class TargetType {
 public:
  virtual ~TargetType() = default;
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;
  // True: it must be the only target of its table, at sector 0.
  [[nodiscard]] virtual bool singleton() const noexcept { return false; }
  // True: a device that has had it can only be given tables of the same type.
  [[nodiscard]] virtual bool immutable() const noexcept { return false; }
  // Suspends. Error::what is the text that users see.
  virtual Result<std::unique_ptr<Target>> create(const TargetContext& context,
                                                 const TargetArgs& args) = 0;
};

class TargetRegistry {
 public:
  // `type` outlives the registry.
  void add(TargetType& type) { types_.push_back(&type); }
  [[nodiscard]] TargetType* find(std::string_view name) const noexcept {
    for (TargetType* const type : types_) {
      if (type->name() == name) return type;
    }
    return nullptr;
  }
  [[nodiscard]] const std::vector<TargetType*>& types() const noexcept { return types_; }

 private:
  std::vector<TargetType*> types_;
};

}   // namespace engine::io
