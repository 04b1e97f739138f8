#include "engine/cache/metadata_registry.h"

#include <algorithm>

#include "engine/base/check.h"

namespace engine::cache {

Result<void> MetadataRef::activate(const io::OwnerDevice& owner) {
  ENGINE_CHECK(metadata_ != nullptr);
  return registry_->activate(*this, owner);
}

void MetadataRef::reset() {
  if (metadata_ == nullptr) return;
  registry_->release(*this);
  metadata_ = nullptr;
}

MetadataRegistry::~MetadataRegistry() {
  ENGINE_CHECK_ALIVE(open_.empty(), "{} metadata objects are open when their registry goes",
                     open_.size());
}

MetadataRegistry::Open* MetadataRegistry::find_on(const BlockDevice& device) {
  const auto found = std::find_if(open_.begin(), open_.end(),
                                  [&](const Open& open) { return open.device == &device; });
  return found == open_.end() ? nullptr : &*found;
}

MetadataRegistry::Open& MetadataRegistry::find(const Metadata& metadata) {
  const auto found = std::find_if(open_.begin(), open_.end(), [&](const Open& open) {
    return open.metadata.get() == &metadata;
  });
  ENGINE_CHECK_ALIVE(found != open_.end(), "a reference to metadata that is not open");
  return *found;
}

MetadataRef MetadataRegistry::one_more_of(Open& open) {
  ++open.references;
  return MetadataRef{*this, *open.metadata, ++clock_};
}

Result<MetadataRef> MetadataRegistry::open(BlockDevice& device, const MetadataOptions& options) {
  MetadataRef present;
  Open* place = nullptr;
  {
    const MutexLock lock{mutex_};
    Open* found = find_on(device);
    while (found != nullptr && found->references == 0) {
      settled_.wait(mutex_);
      found = find_on(device);
    }
    if (found != nullptr) {
      present = one_more_of(*found);
    } else {
      place = &open_.emplace_back(Open{.device = &device});
    }
  }
  if (place != nullptr) return make(*place, device, options);
  if (present->data_block_sectors() != options.data_block_sectors)
    return fail(Errc::invalid, options.data_block_sectors, "not the data block size in use");
  // Waits for a commit under way, like every question.
  if (present->failed()) return fail(Errc::failed, 0, "metadata is in fail mode");
  return present;
}

// In a place that nobody else touches.
Result<MetadataRef> MetadataRegistry::make(Open& place, BlockDevice& device,
                                           const MetadataOptions& options) {
  auto metadata = Metadata::open(device, options);
  const MutexLock lock{mutex_};
  settled_.notify_all();
  if (!metadata) {
    std::erase_if(open_, [&](const Open& each) { return &each == &place; });
    return Failure{metadata.error()};
  }
  place.metadata = *std::move(metadata);
  return one_more_of(place);
}

std::size_t MetadataRegistry::open_metadata() {
  const MutexLock lock{mutex_};
  return open_.size();
}

Result<void> MetadataRegistry::activate(const MetadataRef& ref, const io::OwnerDevice& owner) {
  const MutexLock lock{mutex_};
  Open& open = find(*ref.metadata_);
  if (open.owner == &owner && open.active == ref.opened_at_) return {};
  if (open.owner != nullptr && open.owner != &owner)
    return fail(Errc::busy, 0, "metadata device in use by another cache");
  // A device has one inactive table at a time, so one made before the present one became active is
  // not its successor but another row of the same table.
  if (open.owner != nullptr && ref.opened_at_ < open.activated_at)
    return fail(Errc::busy, 0, "metadata device used twice in one table");
  open.owner = &owner;
  open.active = ref.opened_at_;
  open.activated_at = ++clock_;
  return {};
}

void MetadataRegistry::release(const MetadataRef& ref) {
  Open* place = nullptr;
  std::unique_ptr<Metadata> last;
  {
    const MutexLock lock{mutex_};
    Open& open = find(*ref.metadata_);
    if (open.active == ref.opened_at_) {
      open.owner = nullptr;
      open.active = 0;
    }
    ENGINE_CHECK(open.references > 0);
    if (--open.references != 0) return;
    last = std::move(open.metadata);
    place = &open;
  }
  last->close();
  last.reset();
  const MutexLock lock{mutex_};
  std::erase_if(open_, [&](const Open& each) { return &each == place; });
  settled_.notify_all();
}

}   // namespace engine::cache
