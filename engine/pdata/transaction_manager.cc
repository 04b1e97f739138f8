#include "engine/pdata/transaction_manager.h"

#include <cstring>

#include "engine/base/check.h"
#include "engine/pdata/btree.h"
#include "engine/pdata/space_map_disk.h"

namespace engine::pdata {

TransactionManager::~TransactionManager() {
  ENGINE_CHECK(data_map_ == nullptr, "the data space map outlives its transaction manager");
}

BtreeOptions TransactionManager::space_map_trees() const noexcept {
  return {.fan_out = space_map_fan_out_, .counts = nullptr};
}

Result<std::unique_ptr<TransactionManager>> TransactionManager::create(
    BlockManager& blocks, std::uint64_t nr_blocks, std::uint32_t space_map_fan_out) {
  std::unique_ptr<TransactionManager> tm{new TransactionManager{blocks, space_map_fan_out}};
  ENGINE_TRY(tm->metadata_map_.create(nr_blocks));
  return tm;
}

Result<std::unique_ptr<TransactionManager>> TransactionManager::open(
    BlockManager& blocks, const SpaceMapRoot& metadata_map, std::uint32_t space_map_fan_out) {
  std::unique_ptr<TransactionManager> tm{new TransactionManager{blocks, space_map_fan_out}};
  if (const Result<void> opened = tm->metadata_map_.open(metadata_map); !opened) {
    blocks.quiesce();
    return Failure{opened.error()};
  }
  return tm;
}

Result<WriteRef> TransactionManager::new_block(const Validator& validator) {
  ENGINE_TRY_ASSIGN(const MetaBlock block, metadata_map_.allocate());
  return blocks_.write_zero(block, validator);
}

Result<TransactionManager::Shadow> TransactionManager::shadow(MetaBlock block,
                                                              const Validator& validator) {
  ENGINE_TRY_ASSIGN(const bool shared, is_shared(block));
  if (!shared && metadata_map_.new_in_transaction(block)) {
    ENGINE_TRY_ASSIGN(WriteRef ref, blocks_.write(block, validator));
    return Shadow{.ref = std::move(ref), .inc_children = false};
  }
  // Read first: a block that cannot be read costs no space.
  ENGINE_TRY_ASSIGN(const ReadRef original, blocks_.read(block, validator));
  ENGINE_TRY_ASSIGN(WriteRef copy, new_block(validator));
  ENGINE_CHECK(copy.block() != block);
  std::memcpy(copy.bytes().data(), original.bytes().data(), kMetaBlockSize);
  ENGINE_TRY(metadata_map_.dec(block));
  return Shadow{.ref = std::move(copy), .inc_children = shared};
}

Result<bool> TransactionManager::is_shared(MetaBlock block) const {
  ENGINE_TRY_ASSIGN(const std::uint32_t count, metadata_map_.ref_count(block));
  if (count == 0)
    return fail(Errc::corrupt, block.value(), "block in use is free in the metadata space map");
  return count > 1;
}

bool TransactionManager::changed() const noexcept {
  return metadata_map_.changed() || (data_map_ != nullptr && data_map_->changed());
}

Result<void> TransactionManager::prepare_commit() {
  if (data_map_ != nullptr) ENGINE_TRY(data_map_->write_back());
  return metadata_map_.write_back();
}

Result<void> TransactionManager::write_commit(const std::function<void(MutableBytes)>& fill) {
  return blocks_.commit_superblock(fill);
}

void TransactionManager::finish_commit() {
  if (data_map_ != nullptr) data_map_->committed();
  metadata_map_.committed();
}

Result<void> TransactionManager::commit(const std::function<void(MutableBytes)>& fill) {
  ENGINE_TRY(prepare_commit());
  ENGINE_TRY(write_commit(fill));
  finish_commit();
  return {};
}

}   // namespace engine::pdata
