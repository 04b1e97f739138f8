// The open cache metadata of a system: at most one object per metadata device, shared by the tables
// that name it, at most one of which is active.
//
// Keep: metadata is looked up, opened, referenced and closed under one mutex, held while it does
// I/O. So nobody finds an object that is closing, no two objects ever stand on one device, and one
// that failed to open is never seen.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <absl/base/thread_annotations.h>

#include "engine/cache/metadata.h"
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
  [[nodiscard]] std::size_t open_metadata() const noexcept { return open_.size(); }

 private:
  friend class MetadataRef;
  struct Open {
    BlockDevice* device = nullptr;
    std::unique_ptr<Metadata> metadata;
    std::uint32_t references = 0;
    // Of the active table: its device, its reference, and when it became so. Null: none is.
    const io::OwnerDevice* owner = nullptr;
    std::uint64_t active = 0;
    std::uint64_t activated_at = 0;
  };
  [[nodiscard]] Open& find(const Metadata& metadata) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Result<void> activate(const MetadataRef& ref, const io::OwnerDevice& owner);
  void release(const MetadataRef& ref);

  Mutex mutex_{"cache.metadata_objects"};
  std::vector<Open> open_;   // changes under mutex_
  std::uint64_t clock_ ABSL_GUARDED_BY(mutex_) = 0;
};

}   // namespace engine::cache
