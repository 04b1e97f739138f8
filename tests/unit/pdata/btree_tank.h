// Trees in the tank together with an account of what they refer to, and an inspection that walks
// them byte by byte and shares no code with the trees.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/unit/pdata/meta_tank.h"

namespace engine::pdata {

// Values are names of things; counts how many leaf entries refer to each.
class NamedThings final : public ValueCounts {
 public:
  Result<void> inc(ConstBytes values) override {
    each(values, [&](std::uint64_t name) { ++counts[name]; });
    return {};
  }
  Result<void> dec(ConstBytes values) override {
    each(values, [&](std::uint64_t name) {
      ENGINE_CHECK(counts[name] > 0, "{} has no reference", name);
      if (--counts[name] == 0) counts.erase(name);
    });
    return {};
  }
  [[nodiscard]] bool equal(ConstBytes a, ConstBytes b) const noexcept override {
    return view_as<Le64>(a).value() == view_as<Le64>(b).value();
  }
  std::map<std::uint64_t, std::uint64_t> counts;

 private:
  template <typename Each>
  static void each(ConstBytes values, Each&& each_one) {
    for (std::size_t at = 0; at < values.size(); at += 8)
      each_one(view_as<Le64>(values.subspan(at, 8)).value());
  }
};

inline Le64 le64(std::uint64_t value) {
  Le64 disk;
  disk = value;
  return disk;
}

using Contents = std::map<std::uint64_t, std::uint64_t>;

// What walking trees from their roots finds.
struct Inspection {
  std::map<std::uint64_t, std::uint64_t> block_refs;   // distinct parents, and roots
  std::map<std::uint64_t, std::uint64_t> value_refs;   // in distinct leaves
  std::string error;
  std::uint32_t depth_max = 0;
};

class Inspector {
 public:
  explicit Inspector(TransactionManager& tm) : tm_{tm} {}

  void add_tree(MetaBlock root, Contents* contents) {
    contents_ = contents;
    leaf_depth_.reset();
    last_.reset();
    ++result.block_refs[root.value()];
    visit(root, true, 0, std::nullopt, std::nullopt);
  }
  Inspection result;

 private:
  void wrong(MetaBlock block, const char* what) {
    if (result.error.empty()) result.error = fmt::format("block {}: {}", block, what);
  }
  // All keys must lie in [low, high).
  void visit(MetaBlock block, bool is_root, std::uint32_t depth, std::optional<std::uint64_t> low,
             std::optional<std::uint64_t> high) {
    std::vector<std::byte> copy;
    {
      const auto ref = tm_.read(block, kNodeValidator);
      if (!ref) return wrong(block, ref.error().what);
      copy.assign(ref->bytes().begin(), ref->bytes().end());
    }
    const auto u32 = [&](std::size_t at) {
      return view_as<Le32>(ConstBytes{copy}.subspan(at, 4)).value();
    };
    const auto u64 = [&](std::size_t at) {
      return view_as<Le64>(ConstBytes{copy}.subspan(at, 8)).value();
    };
    const bool leaf = u32(4) == 2;
    const std::uint32_t count = u32(16);
    const std::uint32_t max = u32(20);
    const bool first_visit = visited_.insert({block.value(), true}).second;
    result.depth_max = std::max(result.depth_max, depth);
    if (count > max) return wrong(block, "too many entries");
    if (!is_root && count < max / 3) wrong(block, "too few entries");
    if (leaf) {
      if (leaf_depth_ && *leaf_depth_ != depth) wrong(block, "leaves at two depths");
      leaf_depth_ = depth;
    } else if (count == 0) {
      return wrong(block, "no children");
    }
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint64_t key = u64(32 + 8 * i);
      const std::uint64_t value = u64(32 + 8 * std::size_t{max} + 8 * std::size_t{i});
      if (low && key < *low) wrong(block, "key below its parent's");
      if (high && key >= *high) wrong(block, "key reaches into the next node");
      if (i > 0 && u64(32 + 8 * (i - 1)) >= key) wrong(block, "keys out of order");
      if (leaf) {
        if (contents_ != nullptr) contents_->emplace(key, value);
        if (first_visit) ++result.value_refs[value];
        continue;
      }
      if (first_visit) ++result.block_refs[value];
      visit(MetaBlock{value}, false, depth + 1, key,
            i + 1 < count ? std::optional{u64(32 + 8 * (i + 1))} : high);
    }
  }

  TransactionManager& tm_;
  Contents* contents_ = nullptr;
  std::optional<std::uint32_t> leaf_depth_;
  std::optional<std::uint64_t> last_;
  std::map<std::uint64_t, bool> visited_;
};

}   // namespace engine::pdata
