// Mappings: looking up, inserting, removing.
#include "engine/thin/metadata.h"
#include "engine/thin/metadata_core.h"
#include "engine/thin/metadata_lock.h"

namespace engine::thin {

namespace {

Failure not_present(const OpenThin& device) {
  return fail(Errc::not_found, device.id().value(), "the device went with an abort");
}

Failure not_staged(DataBlock block) {
  return fail(Errc::invalid, block.value(), "the data block is not the caller's to map");
}

}   // namespace

Result<std::optional<Mapping>> Metadata::lookup_cached(const OpenThin& device, VirtBlock block) {
  // The error of a writer's presence and of a block not in memory alike: let a worker wait for it.
  if (!lock_.try_lock_shared()) return fail(Errc::would_block, device.id_.value(), "metadata lock");
  const auto look = [&]() ABSL_SHARED_LOCKS_REQUIRED(lock_) -> Result<std::optional<Mapping>> {
    ENGINE_TRY_ASSIGN(const MetadataCore* const core, this->core());
    if (!device.present_) [[unlikely]]
      return not_present(device);
    ENGINE_TRY_ASSIGN(const std::optional<Le64> value,
                      core->mappings.try_lookup(device.root_, block.value()));
    if (!value) return std::optional<Mapping>{};
    return core->interpret(*value, device.snapshotted_time_);
  };
  Result<std::optional<Mapping>> result = look();
  lock_.unlock_shared();
  return result;
}

Result<std::optional<Mapping>> Metadata::lookup(const OpenThin& device, VirtBlock block) {
  const ReadLock lock{lock_};
  ENGINE_TRY_ASSIGN(const MetadataCore* const core, this->core());
  if (!device.present_) return not_present(device);
  ENGINE_TRY_ASSIGN(const std::optional<Le64> value,
                    core->mappings.lookup(device.root_, block.value()));
  if (!value) return std::optional<Mapping>{};
  return core->interpret(*value, device.snapshotted_time_);
}

Result<std::optional<MappedRange>> Metadata::find_mapped_range(const OpenThin& device,
                                                               VirtBlock begin, VirtBlock end) {
  // One hold of the lock for the whole run: a snapshot taken in between would change `shared` for
  // a part of it.
  const ReadLock lock{lock_};
  ENGINE_TRY_ASSIGN(const MetadataCore* const core, this->core());
  if (!device.present_) return not_present(device);
  std::optional<MappedRange> range;
  ENGINE_TRY(core->mappings.walk(
      device.root_, begin.value(), end.value(),
      [&](std::uint64_t key, const Le64& value) -> Result<bool> {
        ENGINE_TRY_ASSIGN(const Mapping mapping, core->interpret(value, device.snapshotted_time_));
        const VirtBlock block{key};
        if (!range) {
          range = MappedRange{.begin = block,
                              .end = block + 1,
                              .data_begin = mapping.block,
                              .shared = mapping.shared};
          return true;
        }
        if (block != range->end || mapping.shared != range->shared ||
            mapping.block != range->data_begin + (range->end - range->begin))
          return false;
        range->end = block + 1;
        return true;
      }));
  return range;
}

Result<void> Metadata::insert(OpenThin& device, VirtBlock block, DataBlock data) {
  const ChangeLock lock{*this};
  ENGINE_TRY_ASSIGN(MetadataCore* const core, core_for_change());
  if (!device.present_) return not_present(device);
  if (!core->data_map->is_staged(data)) return not_staged(data);
  ENGINE_TRY_ASSIGN(const MetadataCore::Changed changed,
                    breaking(*core, core->insert_mapping(device.id_, device.root_, block, data)));
  core->data_map->take_staged(data);
  device.root_ = changed.root;
  device.mapped_blocks_ += changed.count;
  device.changed_ = true;
  trace_event(OpKind::mapping_insert, &lock_.object(), std::source_location::current(),
              device.id_.value(), block.value(), data.value());
  return {};
}

Result<std::uint64_t> Metadata::remove_range(OpenThin& device, VirtBlock begin, VirtBlock end) {
  const ChangeLock lock{*this};
  ENGINE_TRY_ASSIGN(MetadataCore* const core, core_for_change());
  if (!device.present_) return not_present(device);
  ENGINE_TRY_ASSIGN(const MetadataCore::Changed changed,
                    breaking(*core, core->remove_mappings(device.id_, device.root_, begin, end)));
  device.root_ = changed.root;
  if (changed.count == 0) return std::uint64_t{0};
  if (changed.count > device.mapped_blocks_)
    return breaking(*core, Result<std::uint64_t>{fail(Errc::corrupt, device.id_.value(),
                                                      "fewer mapped blocks than were removed")});
  device.mapped_blocks_ -= changed.count;
  device.changed_ = true;
  trace_event(OpKind::mapping_remove, &lock_.object(), std::source_location::current(),
              device.id_.value(), begin.value(), end - begin);
  return changed.count;
}

Result<std::uint64_t> Metadata::mapped_count(const OpenThin& device) {
  const ReadLock lock{lock_};
  ENGINE_TRY(core());
  return device.mapped_blocks_;
}

Result<std::optional<VirtBlock>> Metadata::highest_mapped(const OpenThin& device) {
  const ReadLock lock{lock_};
  ENGINE_TRY_ASSIGN(const MetadataCore* const core, this->core());
  if (!device.present_) return not_present(device);
  ENGINE_TRY_ASSIGN(const std::optional<std::uint64_t> key,
                    core->mappings.highest_key(device.root_));
  if (!key) return std::optional<VirtBlock>{};
  return std::optional<VirtBlock>{VirtBlock{*key}};
}

bool Metadata::changed_this_transaction(const OpenThin& device) {
  const ReadLock lock{lock_};
  return core_ == nullptr || device.changed_;
}

bool Metadata::aborted_with_changes(const OpenThin& device) {
  const ReadLock lock{lock_};
  return core_ == nullptr || device.aborted_with_changes_;
}

bool Metadata::changed_this_transaction() {
  const ReadLock lock{lock_};
  for (const auto& [id, device] : open_) {
    if (device->changed_) return true;
  }
  return false;
}

}   // namespace engine::thin
