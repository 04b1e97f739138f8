#include "checkers/image/thin_dump.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "checkers/image/thin_image.h"
#include "checkers/image/thin_superblock.h"
#include "checkers/image/thin_walk.h"

namespace checkers::image {
namespace {

// Reads trees one path at a time. Keys must ascend over the whole of a tree and no node but a root
// may be empty; so no node of a tree is read twice, whatever the image says.
class Dumper {
 public:
  Dumper(BlockSource& source, DumpSink& sink) : sink_{sink} { image_.reset(source, findings_); }

  std::string run(DumpWhich which, std::uint64_t device_blocks) {
    const std::byte* bytes = image_.load(0, BlockType::superblock, 0);
    if (bytes == nullptr) return failure();
    Superblock super = parse_superblock(bytes, 0);
    if (!check_superblock(super, bytes, device_blocks, findings_)) return failure();
    if (which == DumpWhich::held) {
      if (super.held_root == 0) return "the pool holds no metadata snapshot";
      bytes = image_.load(super.held_root, BlockType::held_superblock, 1);
      if (bytes == nullptr) return failure();
      super = parse_superblock(bytes, super.held_root);
    }
    sink_.pool(super);
    std::vector<ThinDevice> devices;
    const auto record = [&](const NodeView& node, std::uint32_t i) {
      devices.push_back(details(node, i));
    };
    if (!tree({BlockType::device_tree, 24, Sharing::free, 0}, super.device_details_root, record)) {
      return failure();
    }
    std::size_t next = 0;
    const auto root = [&](const NodeView& node, std::uint32_t i) {
      if (next >= devices.size() || devices[next].id != node.key(i)) {
        unmatched_ = fmt::format("device {} is not in both trees", node.key(i));
        return;
      }
      devices[next++].root = node.value64(i);
    };
    if (!tree({BlockType::top_mapping, 8, Sharing::free, 0}, super.data_mapping_root, root)) {
      return failure();
    }
    if (unmatched_.empty() && next < devices.size()) {
      unmatched_ = fmt::format("device {} is not in both trees", devices[next].id);
    }
    if (!unmatched_.empty()) return unmatched_;
    for (const ThinDevice& device : devices) {
      sink_.device(device);
      const auto mapping = [&](const NodeView& node, std::uint32_t i) {
        const std::uint64_t value = node.value64(i);
        sink_.mapping({node.key(i), value >> thin_format::kTimeBits,
                       static_cast<std::uint32_t>(value & (thin_format::kTimeEnd - 1))});
      };
      if (!tree({BlockType::device_mapping, 8, Sharing::free, 0}, device.root, mapping)) {
        return failure();
      }
      sink_.device_end();
    }
    return {};
  }

 private:
  [[nodiscard]] std::string failure() const {
    for (const Finding& finding : findings_.kept()) {
      if (finding.severity == Severity::fatal) return to_text(finding);
    }
    return "the image is damaged";
  }

  static ThinDevice details(const NodeView& node, std::uint32_t i) {
    constexpr auto& kFields = thin_format::kDetailsFields;
    using thin_format::at;
    const std::byte* value = node.value(i);
    ThinDevice device;
    device.id = node.key(i);
    device.mapped_blocks = thin_format::load64(value, at(kFields, "mapped_blocks"));
    device.transaction_id = thin_format::load64(value, at(kFields, "transaction_id"));
    device.creation_time = thin_format::load32(value, at(kFields, "creation_time"));
    device.snapshotted_time = thin_format::load32(value, at(kFields, "snapshotted_time"));
    return device;
  }

  template <typename Entry>
  bool tree(const TreeSpec& spec, std::uint64_t root, Entry&& entry) {
    started_ = false;
    return node(spec, root, 0, entry);
  }

  template <typename Entry>
  bool node(const TreeSpec& spec, std::uint64_t block, unsigned depth, Entry& entry) {
    const auto wrong = [&](const char* field, std::string found, std::string expected) {
      findings_.add(Rule::node_shape, Severity::fatal, block, field, std::move(found),
                    std::move(expected));
      return false;
    };
    if (depth >= TreeWalk::kDepthMax) return wrong("levels", "too many", "a tree that ends");
    const std::byte* bytes = image_.load(block, spec.type, TreeWalk::kFirstSlot + depth);
    if (bytes == nullptr) return false;
    const auto view = parse_node(findings_, spec, block, bytes);
    if (!view) return false;
    if (view->nr == 0 && depth > 0) return wrong("nr_entries", "0", "at least 1 below the root");
    for (std::uint32_t i = 0; i < view->nr; ++i) {
      if (!view->leaf) {
        if (!node(spec, view->value64(i), depth + 1, entry)) return false;
        continue;
      }
      const std::uint64_t key = view->key(i);
      if (started_ && key <= last_key_) {
        return wrong("keys", fmt::format("{}", key), fmt::format("more than {}", last_key_));
      }
      started_ = true;
      last_key_ = key;
      entry(*view, i);
    }
    return true;
  }

  DumpSink& sink_;
  Findings findings_;
  ThinImage image_;
  std::string unmatched_;
  bool started_{false};
  std::uint64_t last_key_{0};
};

class CollectSink final : public DumpSink {
 public:
  explicit CollectSink(ThinDump& dump) : dump_{dump} {}
  void pool(const Superblock& superblock) override { dump_.superblock = superblock; }
  void device(const ThinDevice& device) override { dump_.devices.push_back({device, {}}); }
  void mapping(const ThinMapping& mapping) override {
    dump_.devices.back().mappings.push_back(mapping);
  }
  void device_end() override {
    DumpedDevice& device = dump_.devices.back();
    device.details.mappings = device.mappings.size();
  }

 private:
  ThinDump& dump_;
};

class XmlSink final : public DumpSink {
 public:
  explicit XmlSink(DumpWhich which) : which_{which} {}

  void pool(const Superblock& super) override {
    // thin_dump never prints the uuid, and of the held copy it knows no size of the data device.
    fmt::format_to(out(),
                   "<superblock uuid=\"\" time=\"{}\" transaction=\"{}\" flags=\"{}\" "
                   "version=\"{}\" data_block_size=\"{}\" nr_data_blocks=\"{}\">\n",
                   super.time, super.trans_id, super.flags, super.version, super.data_block_size,
                   which_ == DumpWhich::held ? 0 : super.data_map.nr_blocks);
  }
  void device(const ThinDevice& device) override {
    fmt::format_to(out(),
                   "  <device dev_id=\"{}\" mapped_blocks=\"{}\" transaction=\"{}\" "
                   "creation_time=\"{}\" snap_time=\"{}\">\n",
                   device.id, device.mapped_blocks, device.transaction_id, device.creation_time,
                   device.snapshotted_time);
  }
  void mapping(const ThinMapping& mapping) override {
    const bool goes_on = run_length_ > 0 && mapping.time == run_.time &&
                         mapping.virtual_block == run_.virtual_block + run_length_ &&
                         mapping.data_block == run_.data_block + run_length_;
    if (!goes_on) {
      end_run();
      run_ = mapping;
    }
    ++run_length_;
  }
  void device_end() override {
    end_run();
    fmt::format_to(out(), "  </device>\n");
  }
  std::string finish() {
    end_run();
    fmt::format_to(out(), "</superblock>\n");
    return std::move(text_);
  }
  std::string text() { return std::move(text_); }

 private:
  std::back_insert_iterator<std::string> out() { return std::back_inserter(text_); }
  void end_run() {
    if (run_length_ == 1) {
      fmt::format_to(out(),
                     "    <single_mapping origin_block=\"{}\" data_block=\"{}\" time=\"{}\"/>\n",
                     run_.virtual_block, run_.data_block, run_.time);
    } else if (run_length_ > 1) {
      fmt::format_to(out(),
                     "    <range_mapping origin_begin=\"{}\" data_begin=\"{}\" length=\"{}\" "
                     "time=\"{}\"/>\n",
                     run_.virtual_block, run_.data_block, run_length_, run_.time);
    }
    run_length_ = 0;
  }

  DumpWhich which_;
  std::string text_;
  ThinMapping run_;
  std::uint64_t run_length_{0};
};

}   // namespace

const DumpedDevice* ThinDump::device(std::uint64_t id) const {
  const auto at = std::lower_bound(
      devices.begin(), devices.end(), id,
      [](const DumpedDevice& device, std::uint64_t wanted) { return device.details.id < wanted; });
  return at != devices.end() && at->details.id == id ? &*at : nullptr;
}

std::string dump_thin_to(BlockSource& source, DumpSink& sink, DumpWhich which) {
  return Dumper{source, sink}.run(which, source.nr_blocks());
}

ThinDump dump_thin(BlockSource& source, DumpWhich which) {
  ThinDump dump;
  CollectSink sink{dump};
  dump.error = dump_thin_to(source, sink, which);
  return dump;
}

ThinXml dump_thin_xml(BlockSource& source, DumpWhich which) {
  XmlSink sink{which};
  ThinXml xml;
  xml.error = dump_thin_to(source, sink, which);
  xml.text = xml.error.empty() ? sink.finish() : sink.text();
  return xml;
}

}   // namespace checkers::image
