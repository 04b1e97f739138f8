// Data and metadata blocks: counts, allocation, growth.
#include <algorithm>

#include "engine/pdata/block_manager.h"
#include "engine/thin/metadata.h"
#include "engine/thin/metadata_core.h"
#include "engine/thin/metadata_lock.h"

namespace engine::thin {

Result<DataBlock> Metadata::alloc_data_block() {
  const ChangeLock lock{*this};
  ENGINE_TRY_ASSIGN(MetadataCore* const core, core_for_change());
  // Fails for want of space alone, and then nothing has changed.
  Result<DataBlock> block = core->data_map->stage();
  if (block)
    trace_event(OpKind::data_block_alloc, &lock_.object(), std::source_location::current(),
                block->value());
  return block;
}

void Metadata::give_back_data_block(DataBlock block) {
  const ChangeLock lock{*this};
  if (core_ == nullptr || !core_->data_map->is_staged(block)) return;   // see insert()
  core_->data_map->unstage(block);
}

std::uint64_t Metadata::staged_data_blocks() {
  const ReadLock lock{lock_};
  return core_ == nullptr ? 0 : core_->data_map->nr_staged();
}

Result<void> Metadata::inc_data_range(DataBlock begin, DataBlock end) {
  const ChangeLock lock{*this};
  ENGINE_TRY_ASSIGN(MetadataCore* const core, core_for_change());
  return breaking(*core, core->data_map->inc(begin, end));
}

Result<void> Metadata::dec_data_range(DataBlock begin, DataBlock end) {
  const ChangeLock lock{*this};
  ENGINE_TRY_ASSIGN(MetadataCore* const core, core_for_change());
  return breaking(*core, core->data_map->dec(begin, end));
}

Result<std::uint32_t> Metadata::data_ref_count(DataBlock block) {
  const ReadLock lock{lock_};
  ENGINE_TRY_ASSIGN(const MetadataCore* const core, this->core());
  return core->data_map->ref_count(block);
}

Result<bool> Metadata::is_data_shared(DataBlock block) {
  ENGINE_TRY_ASSIGN(const std::uint32_t count, data_ref_count(block));
  return count > 1;
}

Result<std::uint64_t> Metadata::free_data_blocks() {
  const ReadLock lock{lock_};
  ENGINE_TRY_ASSIGN(const MetadataCore* const core, this->core());
  return core->data_map->nr_free();
}

Result<std::uint64_t> Metadata::data_blocks() {
  const ReadLock lock{lock_};
  ENGINE_TRY_ASSIGN(const MetadataCore* const core, this->core());
  return core->data_map->nr_blocks();
}

Result<void> Metadata::resize_data(std::uint64_t blocks) {
  const ChangeLock lock{*this};
  ENGINE_TRY_ASSIGN(const MetadataCore* const core, this->core());
  if (blocks < core->data_map->nr_blocks())
    return fail(Errc::invalid, core->data_map->nr_blocks(), "data device smaller than recorded");
  if (blocks == core->data_map->nr_blocks()) return {};
  ENGINE_TRY_ASSIGN(MetadataCore* const changing, core_for_change());
  return changing->data_map->extend_to(blocks);
}

Result<std::uint64_t> Metadata::free_metadata_blocks() {
  const ReadLock lock{lock_};
  ENGINE_TRY_ASSIGN(const MetadataCore* const core, this->core());
  return core->tm->metadata_space_map().nr_free_beyond_reserve();
}

Result<std::uint64_t> Metadata::free_metadata_blocks_raw() {
  const ReadLock lock{lock_};
  ENGINE_TRY_ASSIGN(const MetadataCore* const core, this->core());
  return core->tm->metadata_space_map().nr_free();
}

Result<std::uint64_t> Metadata::metadata_blocks() {
  const ReadLock lock{lock_};
  ENGINE_TRY_ASSIGN(const MetadataCore* const core, this->core());
  return core->tm->metadata_space_map().nr_blocks();
}

Result<bool> Metadata::resize_metadata() {
  const ChangeLock lock{*this};
  ENGINE_TRY_ASSIGN(const MetadataCore* const core, this->core());
  blocks_->update_size();
  const std::uint64_t usable = std::min(blocks_->nr_blocks(), pdata::kMetadataBlocksMax);
  const std::uint64_t present = core->tm->metadata_space_map().nr_blocks();
  if (usable < present)
    return fail(Errc::invalid, present, "metadata device smaller than recorded");
  if (usable == present) return false;
  ENGINE_TRY_ASSIGN(MetadataCore* const changing, core_for_change());
  ENGINE_TRY(changing->tm->metadata_space_map().extend_to(usable));
  return true;
}

}   // namespace engine::thin
