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

MetadataRegistry::Open& MetadataRegistry::find(const Metadata& metadata) {
  const auto found = std::find_if(open_.begin(), open_.end(), [&](const Open& open) {
    return open.metadata.get() == &metadata;
  });
  ENGINE_CHECK_ALIVE(found != open_.end(), "a reference to metadata that is not open");
  return *found;
}

Result<MetadataRef> MetadataRegistry::open(BlockDevice& device, const MetadataOptions& options) {
  const MutexLock lock{mutex_};
  for (Open& present : open_) {
    if (present.device != &device) continue;
    if (present.metadata->data_block_sectors() != options.data_block_sectors)
      return fail(Errc::invalid, options.data_block_sectors, "not the data block size in use");
    if (present.metadata->failed()) return fail(Errc::failed, 0, "metadata is in fail mode");
    ++present.references;
    return MetadataRef{*this, *present.metadata, ++clock_};
  }
  ENGINE_TRY_ASSIGN(auto metadata, Metadata::open(device, options));
  Metadata& opened = *metadata;
  open_.push_back({.device = &device, .metadata = std::move(metadata), .references = 1});
  return MetadataRef{*this, opened, ++clock_};
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
  const MutexLock lock{mutex_};
  Open& open = find(*ref.metadata_);
  if (open.active == ref.opened_at_) {
    open.owner = nullptr;
    open.active = 0;
  }
  ENGINE_CHECK(open.references > 0);
  if (--open.references != 0) return;
  open.metadata->close();
  std::erase_if(open_, [&](const Open& each) { return each.metadata.get() == ref.metadata_; });
}

}   // namespace engine::cache
