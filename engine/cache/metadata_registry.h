// The open cache metadata of a system: at most one object per metadata device, shared by the tables
// that name it, at most one of which is active.
//
// Keep: who opens or closes metadata has a place in the list from before the first of its I/O until
// after the last; whoever wants the same device waits until that is over. So nobody finds an object
// that is opening or closing, no two objects ever stand on one device, and one that failed to open
// is never seen. The mutex is not held over that I/O: it takes as long as a device below is
// suspended, and other metadata is looked up meanwhile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <utility>

#include <absl/base/thread_annotations.h>

#include "engine/cache/metadata.h"
#include "engine/fiber/condition.h"
#include "engine/fiber/mutex.h"
#include "engine/io/target.h"

namespace engine::cache {

class MetadataRegistry;

// One table's reference to open metadata. Movable; letting it go suspends, and the last one closes.
class MetadataRef {
 public:
  MetadataRef() = default;
  ~MetadataRef() { reset(); }
  MetadataRef(MetadataRef&& other) noexcept
      : registry_{other.registry_},
        metadata_{std::exchange(other.metadata_, nullptr)},
        opened_at_{other.opened_at_} {}
  MetadataRef& operator=(MetadataRef&& other) noexcept {
    std::swap(registry_, other.registry_);
    std::swap(metadata_, other.metadata_);
    std::swap(opened_at_, other.opened_at_);
    return *this;
  }

  [[nodiscard]] explicit operator bool() const noexcept { return metadata_ != nullptr; }
  [[nodiscard]] Metadata& operator*() const noexcept { return *metadata_; }
  [[nodiscard]] Metadata* operator->() const noexcept { return metadata_; }

  // Suspends. The table of `owner` that holds this is becoming the active one: call it first of all
  // in preresume, every time. It takes the place of the table that `owner` had before. Refusal:
  // busy, the metadata is in use by a table of another device, or by another row of this one.
  Result<void> activate(const io::OwnerDevice& owner);
  void reset();

 private:
  friend class MetadataRegistry;
  MetadataRef(MetadataRegistry& registry, Metadata& metadata, std::uint64_t opened_at) noexcept
      : registry_{&registry}, metadata_{&metadata}, opened_at_{opened_at} {}

  MetadataRegistry* registry_ = nullptr;
  Metadata* metadata_ = nullptr;
  std::uint64_t opened_at_ = 0;   // tells references apart, and which came first
};

class MetadataRegistry {
 public:
  MetadataRegistry() = default;
  ~MetadataRegistry();
  MetadataRegistry(const MetadataRegistry&) = delete;
  MetadataRegistry& operator=(const MetadataRegistry&) = delete;

  // Suspends. The metadata that is open on `device`, or opens it. Refusals: as Metadata::open();
  // also invalid, open with another data block size, and failed, open and failed.
  Result<MetadataRef> open(BlockDevice& device, const MetadataOptions& options);
  // Suspends, never for long. Of that which is opening or closing, too.
  [[nodiscard]] std::size_t open_metadata();

 private:
  friend class MetadataRef;
  struct Open {
    BlockDevice* device = nullptr;
    std::unique_ptr<Metadata> metadata{};
    std::uint32_t references = 0;   // 0: it opens, or closes
    // Of the active table: its device, its reference, and when it became so. Null: none is.
    const io::OwnerDevice* owner = nullptr;
    std::uint64_t active = 0;
    std::uint64_t activated_at = 0;
  };
  [[nodiscard]] Open* find_on(const BlockDevice& device) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] Open& find(const Metadata& metadata) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] MetadataRef one_more_of(Open& open) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Result<MetadataRef> make(Open& place, BlockDevice& device, const MetadataOptions& options);
  Result<void> activate(const MetadataRef& ref, const io::OwnerDevice& owner);
  void release(const MetadataRef& ref);

  Mutex mutex_{"cache.metadata_objects"};
  Condition settled_{"cache.metadata_objects.settled"};   // one has opened, or closed
  std::list<Open> open_ ABSL_GUARDED_BY(mutex_);
  std::uint64_t clock_ ABSL_GUARDED_BY(mutex_) = 0;
};

}   // namespace engine::cache
