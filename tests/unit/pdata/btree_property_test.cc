// Random histories of a few trees that come to share nodes, against std::map: contents, shape and
// every reference count after every step, and after each abort what was committed.
#include <utility>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "tests/unit/pdata/btree_tank.h"

namespace engine::pdata {

namespace {

enum class TreeOp : std::uint8_t {
  insert,
  remove,
  remove_range,
  insert_run,
  own,
  snapshot,
  drop,
  commit,
  abort,
  ends,
};

struct TreeStep {
  TreeOp op{};
  std::uint32_t tree = 0;
  std::uint64_t key = 0;
  std::uint64_t count = 0;
};

void showValue(const TreeStep& step, std::ostream& out) {   // NOLINT(readability-identifier-naming)
  static constexpr const char* kNames[] = {"insert", "remove",   "remove_range", "insert_run",
                                           "own",    "snapshot", "drop",         "commit",
                                           "abort",  "ends"};
  out << kNames[static_cast<int>(step.op)] << "(" << step.tree << ", " << step.key << ", "
      << step.count << ")";
}

rc::Gen<std::vector<TreeStep>> tree_steps(std::uint64_t keys) {
  const auto op = rc::gen::weightedElement<TreeOp>({{8, TreeOp::insert},
                                                    {8, TreeOp::remove},
                                                    {3, TreeOp::remove_range},
                                                    {4, TreeOp::insert_run},
                                                    {2, TreeOp::own},
                                                    {2, TreeOp::snapshot},
                                                    {1, TreeOp::drop},
                                                    {2, TreeOp::commit},
                                                    {1, TreeOp::abort},
                                                    {1, TreeOp::ends}});
  return rc::gen::container<std::vector<TreeStep>>(rc::gen::construct<TreeStep>(
      op, rc::gen::inRange<std::uint32_t>(0, 4), rc::gen::inRange<std::uint64_t>(0, keys),
      rc::gen::inRange<std::uint64_t>(1, 60)));
}

struct Tree {
  MetaBlock root;
  Contents contents;
};

// Returns what went wrong first; empty: nothing.
class TreeHistory {
 public:
  TreeHistory(BlockManager& blocks, std::uint32_t fan_out)
      : blocks_{blocks}, fan_out_{fan_out}, pool_{must(TestPool::create(blocks))} {
    make_tree();
    trees_.push_back({must(tree_->make_empty()), {}});
    commit();
  }

  std::string run(const std::vector<TreeStep>& tree_steps) {
    for (std::size_t i = 0; i < tree_steps.size(); ++i) {
      std::string wrong = step(tree_steps[i]);
      if (wrong.empty()) wrong = inspect();
      if (!wrong.empty()) return fmt::format("step {}: {}", i, wrong);
    }
    return {};
  }
  std::uint32_t depth_max = 0;

 private:
  void make_tree() {
    tree_.emplace(pool_->tm(), BtreeOptions{.fan_out = fan_out_, .counts = &things_});
  }
  void commit() {
    must(pool_->commit());
    committed_trees_ = trees_;
    committed_counts_ = things_.counts;
  }
  void abort() {
    tree_.reset();
    pool_.reset();
    blocks_.abandon();
    pool_ = must(TestPool::open(blocks_));
    make_tree();
    trees_ = committed_trees_;
    things_.counts = committed_counts_;
  }

  std::string put(Tree& tree, std::uint64_t key, std::uint64_t value) {
    // The caller's reference, which goes over to the tree; unless it had one to the same.
    const auto before = tree.contents.find(key);
    const bool had = before != tree.contents.end();
    if (!had || before->second != value) ++things_.counts[value];
    const auto inserted = must(tree_->insert(tree.root, key, le64(value)));
    tree.root = inserted.root;
    tree.contents[key] = value;
    return inserted.added == had ? "insert: added?" : "";
  }

  std::string step(const TreeStep& step) {
    Tree& tree = trees_[step.tree % trees_.size()];
    switch (step.op) {
      case TreeOp::insert:
        return put(tree, step.key, step.count % 7);
      case TreeOp::insert_run:
        for (std::uint64_t i = 0; i < step.count; ++i) {
          const std::string wrong = put(tree, step.key + i, i % 5 + 100);
          if (!wrong.empty()) return wrong;
        }
        return {};
      case TreeOp::remove: {
        auto at = tree.contents.lower_bound(step.key);
        if (at == tree.contents.end()) return {};
        tree.root = must(tree_->remove(tree.root, at->first));
        tree.contents.erase(at);
        return {};
      }
      case TreeOp::remove_range: {
        const auto begin = tree.contents.lower_bound(step.key);
        const auto end = tree.contents.lower_bound(step.key + step.count);
        const auto expected = static_cast<std::uint64_t>(std::distance(begin, end));
        const auto removed = must(tree_->remove_range(tree.root, step.key, step.key + step.count));
        tree.root = removed.root;
        tree.contents.erase(begin, end);
        return removed.count == expected ? "" : "remove_range: count";
      }
      case TreeOp::own: {
        const auto at = tree.contents.find(step.key);
        if (at == tree.contents.end()) return {};
        auto owned = must(tree_->own(tree.root, step.key));
        tree.root = owned.root();
        return owned.value().value() == at->second ? "" : "own: value";
      }
      case TreeOp::snapshot:
        if (trees_.size() == 4) return {};
        must(pool_->tm().inc(tree.root));
        trees_.push_back(Tree{tree});
        return {};
      case TreeOp::drop:
        if (trees_.size() == 1) return {};
        must(tree_->destroy(tree.root));
        trees_.erase(trees_.begin() + step.tree % static_cast<std::uint32_t>(trees_.size()));
        return {};
      case TreeOp::commit:
        commit();
        return {};
      case TreeOp::abort:
        abort();
        return {};
      case TreeOp::ends:
        return ends(tree, step.key);
    }
    return {};
  }

  std::string ends(const Tree& tree, std::uint64_t key) {
    const auto lowest = must(tree_->lowest_key(tree.root));
    const auto highest = must(tree_->highest_key(tree.root));
    const auto next = must(tree_->lookup_next(tree.root, key));
    const auto found = must(tree_->lookup(tree.root, key));
    const auto cached = tree_->try_lookup(tree.root, key);
    const Contents& contents = tree.contents;
    if (lowest.has_value() == contents.empty()) return "lowest_key: none?";
    if (lowest && *lowest != contents.begin()->first) return "lowest_key";
    if (highest.has_value() == contents.empty()) return "highest_key: none?";
    if (highest && *highest != contents.rbegin()->first) return "highest_key";
    const auto at = contents.lower_bound(key);
    if (next.has_value() == (at == contents.end())) return "lookup_next: none?";
    if (next && (next->key != at->first || next->value.value() != at->second)) return "lookup_next";
    const bool has = contents.contains(key);
    if (found.has_value() != has) return "lookup: none?";
    if (found && found->value() != contents.at(key)) return "lookup";
    if (cached && (cached->has_value() != has)) return "try_lookup: none?";
    Contents walked;
    must(tree_->walk(tree.root, key, key + 40, [&](std::uint64_t k, const Le64& v) -> Result<bool> {
      walked.emplace(k, v.value());
      return true;
    }));
    if (walked != Contents{at, contents.lower_bound(key + 40)}) return "walk";
    return {};
  }

  std::string inspect() {
    Inspector inspector{pool_->tm()};
    for (const Tree& tree : trees_) {
      Contents found;
      inspector.add_tree(tree.root, &found);
      if (found != tree.contents) return "contents differ";
    }
    const Inspection& result = inspector.result;
    depth_max = std::max(depth_max, result.depth_max);
    if (!result.error.empty()) return result.error;
    for (const auto& [block, refs] : result.block_refs) {
      const std::uint32_t stored = must(pool_->tm().ref_count(MetaBlock{block}));
      if (stored != refs) return fmt::format("block {}: stored {}, found {}", block, stored, refs);
    }
    if (result.value_refs != things_.counts) return "value counts differ";
    // Nothing else is in use but the pool's own blocks, whose number does not grow.
    std::uint64_t used = 0;
    for (std::uint64_t b = 0; b < blocks_.nr_blocks(); ++b)
      used += must(pool_->tm().ref_count(MetaBlock{b})) != 0 ? 1 : 0;
    const std::uint64_t others = used - result.block_refs.size();
    if (others > kPoolBlocks) return fmt::format("{} blocks leaked", others - kPoolBlocks);
    return {};
  }

  static constexpr std::uint64_t kPoolBlocks = 8;   // as formatted
  BlockManager& blocks_;
  std::uint32_t fan_out_;
  NamedThings things_;
  std::unique_ptr<TestPool> pool_;
  std::optional<Btree<Le64>> tree_;
  std::vector<Tree> trees_;
  std::vector<Tree> committed_trees_;
  std::map<std::uint64_t, std::uint64_t> committed_counts_;
};

std::string run_history(const std::vector<TreeStep>& tree_steps, std::uint32_t fan_out,
                        std::uint32_t cache_blocks) {
  std::string wrong;
  in_tank({.blocks = 2048}, [&](sim::SimDevice& device) {
    BlockManager blocks{device, {.cache_blocks_max = cache_blocks}};
    TreeHistory history{blocks, fan_out};
    wrong = history.run(tree_steps);
    blocks.quiesce();
  });
  return wrong;
}

RC_GTEST_PROP(BtreeProperty, SmallFanOutMatchesMap, ()) {
  const auto history = *rc::gen::resize(300, tree_steps(200));
  const auto fan_out = *rc::gen::element<std::uint32_t>(6, 9);
  const std::string wrong = run_history(history, fan_out, 4096);
  if (!wrong.empty()) RC_FAIL(wrong);
}

RC_GTEST_PROP(BtreeProperty, TinyCacheMatchesMap, ()) {
  const auto history = *rc::gen::resize(150, tree_steps(200));
  const std::string wrong = run_history(history, 6, 8);
  if (!wrong.empty()) RC_FAIL(wrong);
}

RC_GTEST_PROP(BtreeProperty, LinuxFanOutMatchesMap, ()) {
  auto history = *rc::gen::resize(60, tree_steps(3000));
  for (TreeStep& step : history)
    step.count *= 20;
  const std::string wrong = run_history(history, 0, 4096);
  if (!wrong.empty()) RC_FAIL(wrong);
}

}   // namespace

}   // namespace engine::pdata
