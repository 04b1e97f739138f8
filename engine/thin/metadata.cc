// Opening, devices and transactions. Mappings and space are in metadata_mappings.cc and
// metadata_space.cc.
#include "engine/thin/metadata.h"

#include <cstring>
#include <vector>

#include "engine/env/buffer.h"
#include "engine/pdata/block_manager.h"
#include "engine/pdata/superblock.h"
#include "engine/thin/metadata_core.h"
#include "engine/thin/metadata_lock.h"

namespace engine::thin {

using pdata::blank;
using pdata::BlockManager;
using pdata::read_superblock;

namespace {

pdata::BlockManagerOptions cache_options(const MetadataOptions& options) {
  pdata::BlockManagerOptions result;
  if (options.cache_blocks != 0)
    result.cache_blocks_max = static_cast<std::uint32_t>(options.cache_blocks);
  return result;
}

Result<void> check_options(const MetadataOptions& options) {
  const std::uint32_t sectors = options.data_block_sectors;
  if (sectors < kDataBlockSectorsMin || sectors > kDataBlockSectorsMax ||
      sectors % kDataBlockSectorsMin != 0)
    return fail(Errc::invalid, sectors, "data block size");
  if (options.fan_out != 0 && (options.fan_out < pdata::kFanOutMin || options.fan_out % 3 != 0))
    return fail(Errc::invalid, options.fan_out, "fan-out");
  return {};
}

}   // namespace

Metadata::Metadata(BlockDevice& device, const MetadataOptions& options)
    : device_{device},
      options_{options},
      blocks_{std::make_unique<BlockManager>(device, cache_options(options))},
      read_only_{options.read_only} {
  blocks_->set_read_only(options.read_only);
}

Metadata::~Metadata() {
  for (const auto& [id, device] : open_)
    ENGINE_CHECK(device->open_count_ == 0, "thin {} is open", id);
}

Result<std::unique_ptr<Metadata>> Metadata::open(BlockDevice& device,
                                                 const MetadataOptions& options) {
  ENGINE_TRY(check_options(options));
  if (device.limits().sectors < kMetaBlockSectors)
    return fail(Errc::invalid, device.limits().sectors, "metadata device too small");
  std::unique_ptr<Metadata> metadata{new Metadata{device, options}};
  // What is read may be in the device's cache alone: the last commit of whoever died in the middle
  // of it. What is written over what it calls free, and every flush, takes it for durable.
  ENGINE_TRY(flush_and_wait(device));
  ENGINE_TRY_ASSIGN(AlignedBuffer superblock, read_superblock(device));
  const WriteLock lock{metadata->lock_};
  if (blank(superblock.bytes())) {
    if (options.read_only || options.if_blank == IfBlank::refuse)
      return fail(Errc::not_permitted, 0, "the metadata device is blank");
    ENGINE_TRY_ASSIGN(metadata->core_, MetadataCore::format(*metadata->blocks_, options));
  } else {
    ENGINE_TRY_ASSIGN(metadata->core_,
                      MetadataCore::load(*metadata->blocks_, superblock.bytes(), options));
    // A device that cannot be served is refused here, before anything is written to it.
    if (const Result<void> readable = metadata->core_->check_roots(); !readable) {
      metadata->fail_locked();
      return Failure{readable.error()};
    }
  }
  return metadata;
}

Result<std::unique_ptr<MetadataCore>> Metadata::load() {
  ENGINE_TRY_ASSIGN(const AlignedBuffer superblock, read_superblock(device_));
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
  // Linux would go on and might commit the half of a change.
  if (core->broken) return Failure{*core->broken};
  core->in_service = true;
  return core;
}

Result<void> Metadata::close() {
  const MutexLock turn{change_};
  bool commits = false;
  {
    const ReadLock lock{lock_};
    for (const auto& [id, device] : open_) {
      if (device->open_count_ != 0) return fail(Errc::busy, id.value(), "thin device is open");
    }
    commits = core_ != nullptr && !read_only_ && !core_->broken;
  }
  Result<void> result;
  if (commits) result = commit_in_turn();
  const WriteLock lock{lock_};
  fail_locked();
  return result;
}

void Metadata::set_pre_commit_hook(PreCommitHook* hook) {
  const ChangeLock lock{*this};
  hook_ = hook;
}

// --- Thin devices.

Result<void> Metadata::create_thin(ThinId id) {
  if (id.value() > kThinIdMax) return fail(Errc::invalid, id.value(), "thin id");
  const ChangeLock lock{*this};
  ENGINE_TRY_ASSIGN(MetadataCore* const core, core_for_change());
  ENGINE_TRY_ASSIGN(const auto present, core->find_device(id));
  if (present) return fail(Errc::exists, id.value(), "thin id");
  return breaking(*core, create_thin_locked(*core, id));
}

Result<void> Metadata::create_thin_locked(MetadataCore& core, ThinId id) {
  ENGINE_TRY_ASSIGN(const MetaBlock root, core.mappings.make_empty());
  Le64 value;
  value = root.value();
  ENGINE_TRY_ASSIGN(const auto inserted, core.devices.insert(core.mapping_root, id.value(), value));
  core.mapping_root = inserted.root;
  if (!inserted.added) return fail(Errc::corrupt, id.value(), "mapping tree without a device");
  return core.put_device(id, DeviceRecord{.transaction_id = core.transaction_id,
                                          .creation_time = core.time,
                                          .snapshotted_time = core.time});
}

Result<void> Metadata::create_snap(ThinId id, ThinId origin) {
  if (id.value() > kThinIdMax) return fail(Errc::invalid, id.value(), "thin id");
  if (origin.value() > kThinIdMax) return fail(Errc::invalid, origin.value(), "origin id");
  const ChangeLock lock{*this};
  ENGINE_TRY_ASSIGN(MetadataCore* const core, core_for_change());
  ENGINE_TRY_ASSIGN(const auto present, core->find_device(id));
  if (present) return fail(Errc::exists, id.value(), "thin id");
  ENGINE_TRY_ASSIGN(const auto source, core->find_device(origin));
  if (!source) return fail(Errc::not_found, origin.value(), "origin");
  // Linux lets the clock run on into the bits of the block number.
  if (core->time >= kTimeMax) return fail(Errc::invalid, core->time, "snapshot clock at its end");
  return breaking(*core, create_snap_locked(*core, id, origin, *source));
}

Result<void> Metadata::create_snap_locked(MetadataCore& core, ThinId id, ThinId origin,
                                          DeviceRecord record) {
  const auto open = open_.find(origin);
  if (open != open_.end()) record.mapped_blocks = open->second->mapped_blocks_;

  ENGINE_TRY_ASSIGN(const MetaBlock root, core.find_root(origin));
  ENGINE_TRY(core.tm->inc(root));
  Le64 value;
  value = root.value();
  ENGINE_TRY_ASSIGN(const auto inserted, core.devices.insert(core.mapping_root, id.value(), value));
  core.mapping_root = inserted.root;
  if (!inserted.added) return fail(Errc::corrupt, id.value(), "mapping tree without a device");

  // Every mapping made before now is older than this for both, hence shared.
  core.time += 1;
  core.superblock_changed = true;
  record.snapshotted_time = core.time;
  ENGINE_TRY(core.put_device(origin, record));
  if (open != open_.end()) {
    open->second->snapshotted_time_ = core.time;
    open->second->changed_ = true;
  }
  return core.put_device(id, DeviceRecord{.mapped_blocks = record.mapped_blocks,
                                          .transaction_id = core.transaction_id,
                                          .creation_time = core.time,
                                          .snapshotted_time = core.time});
}

Result<void> Metadata::delete_device(ThinId id) {
  const ChangeLock lock{*this};
  ENGINE_TRY_ASSIGN(MetadataCore* const core, core_for_change());
  const auto open = open_.find(id);
  if (open != open_.end() && open->second->open_count_ != 0)
    return fail(Errc::busy, id.value(), "thin device is open");
  ENGINE_TRY_ASSIGN(const auto present, core->find_device(id));
  if (!present) return fail(Errc::not_found, id.value(), "thin id");
  if (open != open_.end()) open_.erase(open);
  return breaking(*core, delete_locked(*core, id));
}

Result<void> Metadata::delete_locked(MetadataCore& core, ThinId id) {
  ENGINE_TRY(core.find_root(id));
  ENGINE_TRY_ASSIGN(core.details_root, core.details.remove(core.details_root, id.value()));
  // Takes the device's tree with it, down to what no other refers to.
  ENGINE_TRY_ASSIGN(core.mapping_root, core.devices.remove(core.mapping_root, id.value()));
  return {};
}

Result<OpenThin*> Metadata::open_device(ThinId id) {
  const ChangeLock lock{*this};
  ENGINE_TRY(core());
  const auto found = open_.find(id);
  if (found != open_.end()) {
    if (!found->second->present_) return fail(Errc::not_found, id.value(), "thin id");
    ++found->second->open_count_;
    return found->second.get();
  }
  std::unique_ptr<OpenThin> device{new OpenThin{id}};
  ENGINE_TRY(refresh(*device));
  if (!device->present_) return fail(Errc::not_found, id.value(), "thin id");
  device->open_count_ = 1;
  return open_.emplace(id, std::move(device)).first->second.get();
}

void Metadata::close_device(OpenThin& device) {
  const ChangeLock lock{*this};
  ENGINE_CHECK(device.open_count_ > 0, "thin {}", device.id_);
  if (--device.open_count_ != 0) return;
  device.aborted_with_changes_ = false;
  if (!device.changed_ || core_ == nullptr) open_.erase(device.id_);
}

// Reads the device's record and root anew.
Result<void> Metadata::refresh(OpenThin& device) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_) {
  ENGINE_TRY_ASSIGN(const auto record, core_->find_device(device.id_));
  device.present_ = record.has_value();
  if (!record) return {};
  ENGINE_TRY_ASSIGN(device.root_, core_->find_root(device.id_));
  device.mapped_blocks_ = record->mapped_blocks;
  device.transaction_id_ = record->transaction_id;
  device.creation_time_ = record->creation_time;
  device.snapshotted_time_ = record->snapshotted_time;
  return {};
}

// --- The pool's own records.

Result<std::uint64_t> Metadata::transaction_id() {
  const ReadLock lock{lock_};
  ENGINE_TRY_ASSIGN(const MetadataCore* const core, this->core());
  return core->transaction_id;
}

Result<void> Metadata::set_transaction_id(std::uint64_t current, std::uint64_t next) {
  const ChangeLock lock{*this};
  ENGINE_TRY_ASSIGN(MetadataCore* const core, core_for_change());
  if (core->transaction_id != current)
    return fail(Errc::invalid, core->transaction_id, "transaction id");
  core->transaction_id = next;
  core->superblock_changed = true;
  return {};
}

Result<void> Metadata::reserve_metadata_snapshot() {
  const MutexLock turn{change_};
  {
    const WriteLock lock{lock_};
    ENGINE_TRY_ASSIGN(const MetadataCore* const core, core_for_change());
    if (core->held_root != MetaBlock{0})
      return fail(Errc::busy, core->held_root.value(), "a metadata snapshot is held");
  }
  ENGINE_TRY(commit_in_turn());
  const WriteLock lock{lock_};
  ENGINE_TRY_ASSIGN(MetadataCore* const core, core_for_change());
  return breaking(*core, core->reserve_snapshot());
}

Result<void> Metadata::release_metadata_snapshot() {
  const ChangeLock lock{*this};
  ENGINE_TRY_ASSIGN(MetadataCore* const core, core_for_change());
  if (core->held_root == MetaBlock{0})
    return fail(Errc::invalid, 0, "no metadata snapshot is held");
  return breaking(*core, core->release_snapshot());
}

Result<std::optional<MetaBlock>> Metadata::held_root() {
  const ReadLock lock{lock_};
  ENGINE_TRY_ASSIGN(const MetadataCore* const core, this->core());
  if (core->held_root == MetaBlock{0}) return std::optional<MetaBlock>{};
  return std::optional<MetaBlock>{core->held_root};
}

// --- Transactions and modes.

Result<void> Metadata::write_changed_records(MetadataCore& core)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_) {
  for (auto& [id, device] : open_) {
    if (!device->changed_) continue;
    ENGINE_TRY(core.put_device(id, DeviceRecord{.mapped_blocks = device->mapped_blocks_,
                                                .transaction_id = device->transaction_id_,
                                                .creation_time = device->creation_time_,
                                                .snapshotted_time = device->snapshotted_time_}));
  }
  return {};
}

// The hook first of all: data must be durable before any metadata says where it is. Queries go on
// while it runs, and while the blocks are written; no change does, so what is written is what they
// see.
Result<void> Metadata::commit_in_turn() {
  PreCommitHook* hook = nullptr;
  {
    const ReadLock lock{lock_};
    ENGINE_TRY_ASSIGN(const MetadataCore* const core, this->core());
    if (core->broken) return Failure{*core->broken};
    if (!core->in_service) return {};
    hook = hook_;
  }
  if (hook != nullptr) ENGINE_TRY(hook->before_commit());
  MetadataCore* core = nullptr;
  {
    const WriteLock lock{lock_};
    ENGINE_TRY_ASSIGN(core, begin_commit());
  }
  if (core == nullptr) return {};
  const Result<void> written = core->write_commit();
  const WriteLock lock{lock_};
  if (written) {
    core->finish_commit();
    for (auto it = open_.begin(); it != open_.end();) {
      it->second->changed_ = false;
      it = it->second->open_count_ == 0 ? open_.erase(it) : std::next(it);
    }
  }
  trace_event(OpKind::commit_end, &lock_.object(), std::source_location::current(),
              core->transaction_id,
              static_cast<std::uint64_t>(written ? Errc::ok : written.error().code));
  return breaking(*core, written);
}

Result<MetadataCore*> Metadata::begin_commit() {
  ENGINE_TRY_ASSIGN(MetadataCore* const core, this->core());
  if (!core->changed()) return nullptr;
  if (read_only_) return fail(Errc::read_only, 0, "metadata is read-only");
  trace_event(OpKind::commit_begin, &lock_.object(), std::source_location::current(),
              core->transaction_id);
  Result<void> prepared = write_changed_records(*core);
  if (prepared) prepared = core->prepare_commit();
  if (!prepared) {
    trace_event(OpKind::commit_end, &lock_.object(), std::source_location::current(),
                core->transaction_id, static_cast<std::uint64_t>(prepared.error().code));
  }
  ENGINE_TRY(breaking(*core, prepared));
  return core;
}

Result<void> Metadata::commit() {
  const MutexLock turn{change_};
  return commit_in_turn();
}

Result<void> Metadata::abort() {
  const ChangeLock lock{*this};
  return back_to_last_commit(Lost::changes);
}

Result<void> Metadata::take_back() {
  const ChangeLock lock{*this};
  return back_to_last_commit(Lost::nothing);
}

Result<void> Metadata::back_to_last_commit(Lost lost) {
  ENGINE_TRY(core());
  const std::vector<DataBlock> staged = core_->data_map->staged();
  // Linux builds a new block cache here, with the lock held; ours is emptied and stays.
  core_.reset();
  blocks_->abandon();
  for (auto it = open_.begin(); it != open_.end();) {
    OpenThin& device = *it->second;
    if (device.changed_ && lost == Lost::changes) device.aborted_with_changes_ = true;
    device.changed_ = false;
    it = device.open_count_ == 0 ? open_.erase(it) : std::next(it);
  }
  Result<std::unique_ptr<MetadataCore>> loaded = load();
  if (!loaded) return Failure{loaded.error()};
  core_ = std::move(*loaded);
  core_->data_map->stage_again(staged);
  // The pool has been in service before, so it commits from now on as it did.
  core_->in_service = true;
  for (auto& [id, device] : open_) {
    const Result<void> result = refresh(*device);
    if (!result) {
      fail_locked();
      return result;
    }
  }
  return {};
}

Result<void> Metadata::set_needs_check() {
  const ChangeLock lock{*this};
  ENGINE_TRY_ASSIGN(MetadataCore* const core, this->core());
  core->flags |= kFlagNeedsCheck;
  if (read_only_) return {};
  // Not through the open transaction, which may be why this is called.
  ENGINE_TRY_ASSIGN(const AlignedBuffer superblock, read_superblock(device_));
  ENGINE_TRY(pdata::kSuperblockValidator.check(kSuperblockPlace, superblock.bytes()));
  return blocks_->commit_superblock([&](MutableBytes bytes) {
    std::memcpy(bytes.data(), superblock.data(), sizeof(SuperblockDisk));
    auto& disk = view_as<SuperblockDisk>(bytes);
    disk.flags = disk.flags.value() | kFlagNeedsCheck;
  });
}

Result<bool> Metadata::needs_check() {
  const ReadLock lock{lock_};
  ENGINE_TRY_ASSIGN(const MetadataCore* const core, this->core());
  return (core->flags & kFlagNeedsCheck) != 0;
}

void Metadata::set_read_only(bool read_only) {
  const ChangeLock lock{*this};
  // In fail mode too: nothing of what failed is touched, and nothing can be written any more.
  read_only_ = read_only;
  blocks_->set_read_only(read_only);
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
  const ChangeLock lock{*this};
  fail_locked();
}

bool Metadata::failed() {
  const ReadLock lock{lock_};
  return core_ == nullptr;
}

}   // namespace engine::thin
