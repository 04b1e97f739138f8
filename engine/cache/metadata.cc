// Opening, transactions and modes. What the arrays hold is in metadata_arrays.cc.
#include "engine/cache/metadata.h"

#include <cstring>

#include "engine/cache/metadata_core.h"
#include "engine/pdata/block_manager.h"
#include "engine/pdata/broken.h"
#include "engine/pdata/superblock.h"

namespace engine::cache {

using pdata::breaking;

namespace {

constexpr std::size_t kPolicyNameMax = 15;

pdata::BlockManagerOptions manager_options(const MetadataOptions& options) {
  pdata::BlockManagerOptions result;
  result.superblock = &kCacheSuperblockValidator;
  if (options.memory_blocks != 0)
    result.cache_blocks_max = static_cast<std::uint32_t>(options.memory_blocks);
  return result;
}

Result<void> check_options(const MetadataOptions& options) {
  if (!valid_data_block_sectors(options.data_block_sectors))
    return fail(Errc::invalid, options.data_block_sectors, "data block size");
  if (options.version < kVersionMin || options.version > kVersionMax)
    return fail(Errc::invalid, options.version, "metadata version");
  if (options.fan_out != 0 && (options.fan_out < pdata::kFanOutMin || options.fan_out % 3 != 0))
    return fail(Errc::invalid, options.fan_out, "fan-out");
  return {};
}

}   // namespace

Metadata::Metadata(BlockDevice& device, const MetadataOptions& options)
    : device_{device},
      options_{options},
      blocks_{std::make_unique<pdata::BlockManager>(device, manager_options(options))} {}

Metadata::~Metadata() = default;

Result<std::unique_ptr<Metadata>> Metadata::open(BlockDevice& device,
                                                 const MetadataOptions& options) {
  ENGINE_TRY(check_options(options));
  if (device.limits().sectors < kMetaBlockSectors)
    return fail(Errc::invalid, device.limits().sectors, "metadata device too small");
  std::unique_ptr<Metadata> metadata{new Metadata{device, options}};
  ENGINE_TRY_ASSIGN(const AlignedBuffer superblock, pdata::read_superblock(device));
  const WriteLock lock{metadata->lock_};
  if (pdata::blank(superblock.bytes())) {
    if (options.if_blank == IfBlank::refuse)
      return fail(Errc::not_permitted, 0, "the metadata device is blank");
    auto formatted = MetadataCore::format(*metadata->blocks_, options);
    if (!formatted && formatted.error().code == Errc::no_metadata_space)
      return fail(Errc::invalid, device.limits().sectors, "metadata device too small");
    ENGINE_TRY_ASSIGN(metadata->core_, std::move(formatted));
  } else {
    ENGINE_TRY_ASSIGN(metadata->core_,
                      MetadataCore::load(*metadata->blocks_, superblock.bytes(), options));
    if (const Result<void> readable = metadata->core_->check_roots(); !readable) {
      metadata->fail_locked();
      return Failure{readable.error()};
    }
  }
  return metadata;
}

Result<std::unique_ptr<MetadataCore>> Metadata::load() {
  ENGINE_TRY_ASSIGN(const AlignedBuffer superblock, pdata::read_superblock(device_));
  return MetadataCore::load(*blocks_, superblock.bytes(), options_);
}

Result<MetadataCore*> Metadata::core() const {
  if (core_ == nullptr) [[unlikely]]
    return fail(Errc::failed, 0, "metadata is in fail mode");
  return core_.get();
}

Result<MetadataCore*> Metadata::core_for_change() {
  ENGINE_TRY_ASSIGN(MetadataCore* const core, this->core());
  if (read_only_) return fail(Errc::read_only, 0, "metadata is read-only");
  if (core->broken) return Failure{*core->broken};
  ENGINE_TRY(settle());
  return core;
}

Result<void> Metadata::settle() {
  if (settled_) return {};
  ENGINE_TRY(flush_and_wait(device_));
  settled_ = true;
  return {};
}

void Metadata::close() {
  fail_now();
}

Result<std::uint32_t> Metadata::version() {
  const ReadLock lock{lock_};
  ENGINE_TRY_ASSIGN(const MetadataCore* const core, this->core());
  return core->version;
}

Result<std::uint32_t> Metadata::cache_blocks() {
  const ReadLock lock{lock_};
  ENGINE_TRY_ASSIGN(const MetadataCore* const core, this->core());
  return core->cache_blocks;
}

// --- Resuming.

Result<void> Metadata::resize(std::uint32_t cache_blocks) {
  if (cache_blocks == 0) return fail(Errc::invalid, 0, "cache without blocks");
  const WriteLock lock{lock_};
  ENGINE_TRY_ASSIGN(MetadataCore* const core, core_for_change());
  if (cache_blocks < core->cache_blocks) {
    ENGINE_TRY_ASSIGN(const bool dirty, core->any_dirty_from(cache_blocks));
    if (dirty) return fail(Errc::busy, cache_blocks, "unable to shrink cache: it has dirty blocks");
  }
  return breaking(*core, core->resize(cache_blocks));
}

Result<std::vector<StoredMapping>> Metadata::load_mappings(const PolicyIdentity& policy,
                                                           std::uint64_t origin_blocks) {
  const ReadLock lock{lock_};
  ENGINE_TRY_ASSIGN(const MetadataCore* const core, this->core());
  return core->load_mappings(policy, origin_blocks);
}

Result<std::vector<DiscardRange>> Metadata::load_discards(const DiscardGeometry& geometry) {
  if (geometry.block_sectors == 0) return fail(Errc::invalid, 0, "discard block size");
  const ReadLock lock{lock_};
  ENGINE_TRY_ASSIGN(const MetadataCore* const core, this->core());
  return core->load_discards(geometry);
}

Result<Statistics> Metadata::statistics() {
  const ReadLock lock{lock_};
  ENGINE_TRY_ASSIGN(const MetadataCore* const core, this->core());
  return core->statistics;
}

Result<void> Metadata::begin_service() {
  const WriteLock lock{lock_};
  ENGINE_TRY_ASSIGN(MetadataCore* const core, this->core());
  // Nothing to take away, also where nothing can be written.
  if (!core->marked_clean && !core->changed()) return read_only_ ? Result<void>{} : settle();
  ENGINE_TRY(core_for_change());
  core->clean = false;
  if (core->changed()) return commit_locked();
  ENGINE_TRY(breaking(*core, rewrite_flags(0, kFlagClean)));
  core->marked_clean = false;
  return {};
}

// --- Running.

Result<void> Metadata::insert(CacheBlock block, OriginBlock origin) {
  const WriteLock lock{lock_};
  ENGINE_TRY_ASSIGN(MetadataCore* const core, core_for_change());
  if (block.value() >= core->cache_blocks)
    return fail(Errc::invalid, block.value(), "no such cache block");
  if (origin.value() >= kOriginBlocksMax)
    return fail(Errc::invalid, origin.value(), "origin block too high for the format");
  ENGINE_TRY_ASSIGN(const MappingEntry present, core->mapping(block));
  if (present.valid()) return fail(Errc::exists, block.value(), "the cache block is mapped");
  ENGINE_TRY(breaking(*core, core->insert(block, origin)));
  return {};
}

Result<void> Metadata::remove(CacheBlock block) {
  const WriteLock lock{lock_};
  ENGINE_TRY_ASSIGN(MetadataCore* const core, core_for_change());
  if (block.value() >= core->cache_blocks)
    return fail(Errc::invalid, block.value(), "no such cache block");
  ENGINE_TRY_ASSIGN(const MappingEntry present, core->mapping(block));
  if (!present.valid())
    return fail(Errc::not_found, block.value(), "the cache block is not mapped");
  return breaking(*core, core->remove(block));
}

Result<void> Metadata::commit_locked() {
  ENGINE_TRY_ASSIGN(MetadataCore* const core, this->core());
  if (core->broken) return Failure{*core->broken};
  if (!core->changed()) return {};
  if (read_only_) return fail(Errc::read_only, 0, "metadata is read-only");
  return breaking(*core, traced_commit(*core, false));
}

Result<void> Metadata::traced_commit(MetadataCore& core, bool clean_shutdown) {
  trace_event(OpKind::commit_begin, &lock_.object(), std::source_location::current(),
              clean_shutdown ? 1 : 0);
  const Result<void> result = core.commit(clean_shutdown);
  trace_event(OpKind::commit_end, &lock_.object(), std::source_location::current(),
              clean_shutdown ? 1 : 0,
              static_cast<std::uint64_t>(result ? Errc::ok : result.error().code));
  return result;
}

Result<void> Metadata::commit() {
  const WriteLock lock{lock_};
  return commit_locked();
}

bool Metadata::changed_this_transaction() {
  const ReadLock lock{lock_};
  return core_ != nullptr && core_->changed();
}

// --- Suspending.

Result<void> Metadata::shut_down_cleanly(const CleanState& state) {
  if (state.policy.name.size() > kPolicyNameMax)
    return fail(Errc::invalid, state.policy.name.size(), "policy name too long");
  if (state.hint && state.policy.hint_size != sizeof(Le32))
    return fail(Errc::invalid, state.policy.hint_size, "hint size");
  const WriteLock lock{lock_};
  ENGINE_TRY(core_for_change());
  // Mappings that were made since the last commit do not depend on whether the rest works out.
  ENGINE_TRY(commit_locked());
  const Result<void> stored = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_) -> Result<void> {
    ENGINE_TRY(core_->store(state));
    return traced_commit(*core_, true);
  }();
  // Not half of it: what is on the device now is a cache that was not shut down cleanly.
  if (!stored) ENGINE_TRY(abort_locked());
  return stored;
}

Result<bool> Metadata::clean() {
  const ReadLock lock{lock_};
  ENGINE_TRY_ASSIGN(const MetadataCore* const core, this->core());
  return core->clean;
}

// --- Metadata blocks.

Result<std::uint64_t> Metadata::metadata_blocks() {
  const ReadLock lock{lock_};
  ENGINE_TRY_ASSIGN(const MetadataCore* const core, this->core());
  return core->tm->metadata_space_map().nr_blocks();
}

Result<std::uint64_t> Metadata::free_metadata_blocks() {
  const ReadLock lock{lock_};
  ENGINE_TRY_ASSIGN(const MetadataCore* const core, this->core());
  return core->tm->metadata_space_map().nr_free();
}

// --- Failures.

Result<void> Metadata::abort_locked() {
  ENGINE_TRY(core());
  core_.reset();
  settled_ = false;
  blocks_->abandon();
  // Everything that a superblock tells is read anew, also what is not part of a transaction.
  Result<std::unique_ptr<MetadataCore>> loaded = load();
  if (!loaded) return Failure{loaded.error()};
  core_ = std::move(*loaded);
  return {};
}

Result<void> Metadata::abort() {
  const WriteLock lock{lock_};
  return abort_locked();
}

// Not through the open transaction, which may be why this is called.
Result<void> Metadata::rewrite_flags(std::uint32_t set, std::uint32_t clear) {
  ENGINE_TRY_ASSIGN(const AlignedBuffer superblock, pdata::read_superblock(device_));
  ENGINE_TRY(kCacheSuperblockValidator.check(kSuperblockPlace, superblock.bytes()));
  return blocks_->commit_superblock([&](MutableBytes bytes) {
    std::memcpy(bytes.data(), superblock.data(), sizeof(SuperblockDisk));
    auto& disk = view_as<SuperblockDisk>(bytes);
    disk.flags = (disk.flags.value() | set) & ~clear;
  });
}

Result<void> Metadata::set_needs_check() {
  const WriteLock lock{lock_};
  ENGINE_TRY_ASSIGN(MetadataCore* const core, this->core());
  core->needs_check = true;
  if (read_only_) return {};
  return rewrite_flags(kFlagNeedsCheck, 0);
}

Result<bool> Metadata::needs_check() {
  const ReadLock lock{lock_};
  ENGINE_TRY_ASSIGN(const MetadataCore* const core, this->core());
  return core->needs_check;
}

void Metadata::set_read_only() {
  const WriteLock lock{lock_};
  read_only_ = true;
  blocks_->set_read_only(true);
}

bool Metadata::read_only() {
  const ReadLock lock{lock_};
  return read_only_;
}

void Metadata::fail_locked() {
  if (core_ == nullptr) return;
  core_.reset();
  blocks_->abandon();
}

void Metadata::fail_now() {
  const WriteLock lock{lock_};
  fail_locked();
}

bool Metadata::failed() {
  const ReadLock lock{lock_};
  return core_ == nullptr;
}

}   // namespace engine::cache
