#include "checkers/image/thin_pool_walk.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "checkers/image/thin_superblock.h"

namespace checkers::image {
namespace {

constexpr std::uint32_t kTimeUnknown = ~std::uint32_t{0};
constexpr std::uint32_t kTopOwner = 0;
constexpr std::uint32_t kTopHeldOwner = 1;

}   // namespace

struct ThinPoolWalk::DetailsVisitor {
  std::vector<Record>& records;

  void leaf(const NodeView& node, std::uint64_t block, const NodeInfo&, ThinImage::Counted) {
    constexpr auto& kFields = thin_format::kDetailsFields;
    using thin_format::at;
    for (std::uint32_t i = 0; i < node.nr; ++i) {
      const std::byte* value = node.value(i);
      Record record;
      record.device.id = node.key(i);
      record.device.mapped_blocks = thin_format::load64(value, at(kFields, "mapped_blocks"));
      record.device.transaction_id = thin_format::load64(value, at(kFields, "transaction_id"));
      record.device.creation_time = thin_format::load32(value, at(kFields, "creation_time"));
      record.device.snapshotted_time = thin_format::load32(value, at(kFields, "snapshotted_time"));
      record.from = {block, "values", i};
      records.push_back(record);
    }
  }
  void again(const NodeInfo&, std::uint64_t) {}
};

struct ThinPoolWalk::TopVisitor {
  std::vector<Root>& roots;

  void leaf(const NodeView& node, std::uint64_t block, const NodeInfo&,
            ThinImage::Counted counted) {
    for (std::uint32_t i = 0; i < node.nr; ++i) {
      roots.push_back({node.key(i), node.value64(i), {block, "values", i}, counted});
    }
  }
  void again(const NodeInfo&, std::uint64_t) {}
};

struct ThinPoolWalk::MappingVisitor {
  static constexpr std::uint32_t kAhead = 12;

  ThinPoolWalk& pool;
  const ThinDevice& device;
  std::uint32_t time_now;   // of the superblock
  bool held;

  void leaf(const NodeView& node, std::uint64_t block, NodeInfo& info, ThinImage::Counted) {
    const std::uint64_t known = pool.data_.size();
    std::uint32_t newest = 0;
    for (std::uint32_t i = 0; i < node.nr; ++i) {
      if (i + kAhead < node.nr) {
        const std::uint64_t ahead = node.value64(i + kAhead) >> thin_format::kTimeBits;
        if (ahead < known) pool.data_.prefetch(ahead);
      }
      const std::uint64_t value = node.value64(i);
      const std::uint64_t data_block = value >> thin_format::kTimeBits;
      const auto time = static_cast<std::uint32_t>(value & (thin_format::kTimeEnd - 1));
      newest = std::max(newest, time);
      if (data_block < known) [[likely]] {
        pool.data_.add(data_block, node.key(i), time, slot(time));
      } else if (data_block >= pool.data_blocks_) {
        out_of_bounds(block, i, data_block);
      }
      if (time > time_now) [[unlikely]]
        too_new(block, i, time);
    }
    info.newest = newest;
    pool.distinct_mappings_ += node.nr;
  }

  void again(const NodeInfo& info, std::uint64_t block) {
    if (held || info.entries == 0 || (info.owner & kHeldOwner) != 0) return;
    if (info.newest < pool.snapshotted_[info.owner]) return;
    pool.image_.findings().add(
        Rule::sharing, Severity::fatal, block,
        fmt::format("newest time beneath, shared by devices {} and {}", pool.owner_ids_[info.owner],
                    device.id),
        fmt::format("{}", info.newest),
        fmt::format("below {}, the snapshotted_time of device {}", pool.snapshotted_[info.owner],
                    pool.owner_ids_[info.owner]));
  }

 private:
  [[nodiscard]] Slot slot(std::uint32_t time) const {
    if (held) return Slot::held;
    return time < device.snapshotted_time ? Slot::live_shared : Slot::live_exclusive;
  }
  void out_of_bounds(std::uint64_t block, std::uint32_t i, std::uint64_t data_block) {
    pool.image_.findings().add(
        Rule::data_bounds, Severity::fatal, block, fmt::format("values[{}]", i),
        fmt::format("data block {}", data_block), fmt::format("below {}", pool.data_blocks_));
  }
  void too_new(std::uint64_t block, std::uint32_t i, std::uint32_t time) {
    pool.image_.findings().add(Rule::times, Severity::fatal, block, fmt::format("values[{}]", i),
                               fmt::format("time {}", time),
                               fmt::format("at most {}, the superblock's", time_now));
  }
};

void ThinPoolWalk::walk(const Superblock& super, std::vector<ThinDevice>& live,
                        std::vector<ThinDevice>& held) {
  distinct_mappings_ = 0;
  data_blocks_ = super.data_map.nr_blocks;
  walk_roots(super, false, ThinImage::Counted::yes);
  walk_devices(super, false);
  collect(live);
  if (super.held_root != 0) walk_held(super, held);
}

void ThinPoolWalk::walk_roots(const Superblock& super, bool held, ThinImage::Counted counted) {
  records_.clear();
  roots_.clear();
  const bool before = image_.complete();
  const std::uint32_t owner = held ? kTopHeldOwner : kTopOwner;

  image_.set_complete(true);
  DetailsVisitor details{records_};
  walk_.walk({BlockType::device_tree, 24, Sharing::by_held, owner}, details,
             super.device_details_root, {super.block, "device_details_root"}, counted);
  const bool details_complete = image_.complete();

  image_.set_complete(true);
  TopVisitor top{roots_};
  walk_.walk({BlockType::top_mapping, 8, Sharing::by_held, owner}, top, super.data_mapping_root,
             {super.block, "data_mapping_root"}, counted);
  const bool top_complete = image_.complete();

  image_.set_complete(before && details_complete && top_complete);
  join(super, details_complete, top_complete);
}

// Brings records and roots together by id; where only one exists the other is made up, so that
// everything reachable is still walked.
void ThinPoolWalk::join(const Superblock& super, bool details_complete, bool top_complete) {
  const auto by_id = [](const auto& a, const auto& b) { return a.id < b.id; };
  const auto record_by_id = [](const Record& a, const Record& b) {
    return a.device.id < b.device.id;
  };
  if (!std::is_sorted(roots_.begin(), roots_.end(), by_id)) {
    std::stable_sort(roots_.begin(), roots_.end(), by_id);
  }
  if (!std::is_sorted(records_.begin(), records_.end(), record_by_id)) {
    std::stable_sort(records_.begin(), records_.end(), record_by_id);
  }
  Findings& findings = image_.findings();
  const std::size_t with_details = records_.size();
  std::size_t at = 0;
  for (const Root& root : roots_) {
    while (at < with_details && records_[at].device.id < root.id)
      ++at;
    if (at < with_details && records_[at].device.id == root.id && !records_[at].has_root) {
      records_[at].root = root;
      records_[at].has_root = true;
      records_[at].device.root = root.block;
      continue;
    }
    if (details_complete) {
      findings.add(Rule::device_sets, Severity::fatal, root.from.block,
                   fmt::format("keys[{}]", root.from.index), fmt::format("device {}", root.id),
                   "a record of it in the device tree");
    }
    Record made_up;
    made_up.device.id = root.id;
    made_up.device.root = root.block;
    made_up.device.snapshotted_time = kTimeUnknown;
    made_up.root = root;
    made_up.has_root = true;
    made_up.has_details = false;
    records_.push_back(made_up);
  }
  for (const Record& record : records_) {
    check_record(super, record);
    if (!record.has_root && top_complete) {
      findings.add(Rule::device_sets, Severity::fatal, record.from.block,
                   fmt::format("keys[{}]", record.from.index),
                   fmt::format("device {}", record.device.id),
                   "a mapping tree of it in the top mapping tree");
    }
  }
}

void ThinPoolWalk::check_record(const Superblock& super, const Record& record) {
  const ThinDevice& device = record.device;
  Findings& findings = image_.findings();
  if (device.id >= thin_format::kDeviceIdEnd) {
    const Pointer& from = record.has_details ? record.from : record.root.from;
    findings.add(Rule::device_sets, Severity::fatal, from.block,
                 fmt::format("keys[{}]", from.index), fmt::format("device {}", device.id),
                 fmt::format("below {}", thin_format::kDeviceIdEnd));
  }
  if (!record.has_details) return;
  const auto wrong = [&](Rule rule, Severity severity, const char* field, std::uint64_t found,
                         std::string expected) {
    findings.add(rule, severity, record.from.block,
                 fmt::format("{}.{} of device {}", record.from.text(), field, device.id),
                 fmt::format("{}", found), std::move(expected));
  };
  if (device.creation_time > super.time) {
    wrong(Rule::times, Severity::fatal, "creation_time", device.creation_time,
          fmt::format("at most {}, the superblock's time", super.time));
  }
  if (device.snapshotted_time > super.time) {
    wrong(Rule::times, Severity::fatal, "snapshotted_time", device.snapshotted_time,
          fmt::format("at most {}, the superblock's time", super.time));
  }
  if (device.creation_time > device.snapshotted_time) {
    wrong(Rule::times, Severity::warn, "creation_time", device.creation_time,
          fmt::format("at most {}, its snapshotted_time", device.snapshotted_time));
  }
  if (device.transaction_id > super.trans_id) {
    wrong(Rule::transaction_ids, Severity::warn, "transaction_id", device.transaction_id,
          fmt::format("at most {}, the superblock's", super.trans_id));
  }
}

void ThinPoolWalk::walk_devices(const Superblock& super, bool held) {
  order_.resize(records_.size());
  std::iota(order_.begin(), order_.end(), 0U);
  if (!held) {
    const auto earlier = [&](std::uint32_t a, std::uint32_t b) {
      return records_[a].device.snapshotted_time < records_[b].device.snapshotted_time;
    };
    if (!std::is_sorted(order_.begin(), order_.end(), earlier)) {
      std::stable_sort(order_.begin(), order_.end(), earlier);
    }
    snapshotted_.clear();
    owner_ids_.clear();
    for (const std::uint32_t i : order_) {
      snapshotted_.push_back(records_[i].device.snapshotted_time);
      owner_ids_.push_back(records_[i].device.id);
    }
  }
  for (std::uint32_t owner = 0; owner < order_.size(); ++owner) {
    Record& record = records_[order_[owner]];
    if (!record.has_root) continue;
    MappingVisitor visitor{*this, record.device, super.time, held};
    const TreeSpec tree{BlockType::device_mapping, 8, Sharing::free,
                        held ? owner | kHeldOwner : owner};
    const bool before = image_.complete();
    image_.set_complete(true);
    const NodeInfo* root =
        walk_.walk(tree, visitor, record.root.block, record.root.from, record.root.counted);
    const bool complete = root != nullptr && image_.complete();
    image_.set_complete(before && image_.complete());
    record.device.mappings = root == nullptr ? 0 : root->entries;
    if (!complete || !record.has_details) continue;
    if (record.device.mapped_blocks != record.device.mappings) {
      image_.findings().add(
          Rule::mapped_blocks, Severity::repairable, record.from.block,
          fmt::format("{}.mapped_blocks of device {}", record.from.text(), record.device.id),
          fmt::format("{}", record.device.mapped_blocks),
          fmt::format("{}", record.device.mappings));
    }
    if (held && root->newest > super.time) {
      image_.findings().add(Rule::times, Severity::fatal, record.root.block,
                            "newest mapping time beneath", fmt::format("{}", root->newest),
                            fmt::format("at most {}, the held copy's", super.time));
    }
  }
}

void ThinPoolWalk::walk_held(const Superblock& super, std::vector<ThinDevice>& held) {
  const Pointer from{super.block, "held_root"};
  const auto entered =
      image_.enter(super.held_root, BlockType::held_superblock, from, ThinImage::Counted::yes);
  if (entered == ThinImage::Entry::refused) return;
  const std::byte* bytes = image_.load(super.held_root, BlockType::held_superblock, 1);
  if (bytes == nullptr) return;
  const Superblock copy = parse_superblock(bytes, super.held_root);
  if (!check_held(copy, bytes, super, image_.findings())) {
    image_.set_complete(false);
    return;
  }
  walk_roots(copy, true, ThinImage::Counted::yes);
  walk_devices(copy, true);
  collect(held);
}

void ThinPoolWalk::collect(std::vector<ThinDevice>& devices) {
  devices.clear();
  for (const Record& record : records_)
    devices.push_back(record.device);
  const auto by_id = [](const ThinDevice& a, const ThinDevice& b) { return a.id < b.id; };
  if (!std::is_sorted(devices.begin(), devices.end(), by_id)) {
    std::stable_sort(devices.begin(), devices.end(), by_id);
  }
}

void ThinPoolWalk::find_uses(const std::vector<std::uint64_t>& unsound, std::size_t device,
                             std::uint64_t block, unsigned depth, std::vector<Use>& uses) {
  if (budget_ == 0 || depth >= TreeWalk::kDepthMax || block >= image_.nr_blocks()) return;
  // Only what the walk took for a node is looked at again.
  if (image_.type(block) != BlockType::device_mapping || image_.node_slot(block) == 0) return;
  --budget_;
  const std::byte* bytes =
      image_.load(block, BlockType::device_mapping, TreeWalk::kFirstSlot + depth);
  if (bytes == nullptr) return;
  constexpr auto& kFields = thin_format::kNodeFields;
  const NodeView node{
      bytes, thin_format::load32(bytes, thin_format::at(kFields, "nr_entries")),
      thin_format::load32(bytes, thin_format::at(kFields, "max_entries")), 8,
      thin_format::load32(bytes, thin_format::at(kFields, "flags")) == thin_format::kLeaf};
  for (std::uint32_t i = 0; i < node.nr; ++i) {
    const std::uint64_t value = node.value64(i);
    if (!node.leaf) {
      find_uses(unsound, device, value, depth + 1, uses);
      continue;
    }
    const std::uint64_t data_block = value >> thin_format::kTimeBits;
    if (!std::binary_search(unsound.begin(), unsound.end(), data_block)) continue;
    const auto time = static_cast<std::uint32_t>(value & (thin_format::kTimeEnd - 1));
    uses.push_back({data_block, node.key(i), block, time, device});
  }
}

void ThinPoolWalk::explain_unsound(const std::vector<ThinDevice>& live,
                                   const std::vector<std::uint64_t>& unsound) {
  constexpr std::size_t kExplained = 20;
  budget_ = 20000;
  std::vector<std::uint64_t> wanted{
      unsound.begin(),
      unsound.begin() + static_cast<std::ptrdiff_t>(std::min(unsound.size(), kExplained))};
  std::vector<Use> uses;
  for (std::size_t i = 0; i < live.size(); ++i)
    find_uses(wanted, i, live[i].root, 0, uses);
  for (const std::uint64_t data_block : unsound) {
    const Use* claims = nullptr;
    const Use* other = nullptr;
    for (const Use& use : uses) {
      if (use.data_block != data_block) continue;
      if (claims == nullptr && use.time >= live[use.device].snapshotted_time) {
        claims = &use;
      } else if (other == nullptr) {
        other = &use;
      }
    }
    if (claims == nullptr || other == nullptr) {
      image_.findings().add(Rule::sharing, Severity::fatal, 0,
                            fmt::format("data block {}", data_block),
                            "mapped more than once, not everywhere with a time below the device's "
                            "snapshotted_time",
                            "shared mappings that look shared");
      continue;
    }
    image_.findings().add(
        Rule::sharing, Severity::fatal, claims->leaf,
        fmt::format("device {} virtual block {}, mapped to data block {}", live[claims->device].id,
                    claims->virtual_block, data_block),
        fmt::format("time {}", claims->time),
        fmt::format("below {}, its snapshotted_time, as device {} virtual block {} maps it too",
                    live[claims->device].snapshotted_time, live[other->device].id,
                    other->virtual_block));
  }
}

}   // namespace checkers::image
