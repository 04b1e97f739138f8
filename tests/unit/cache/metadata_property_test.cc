// Random lives of a cache's metadata against a model: what is mapped, what the last commit was,
// what a clean shutdown stored. At every commit the image is judged by the checker and compared
// with the model; aborts and reopenings return to the last commit; the device is small enough to
// run full.
#include <ostream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "tests/unit/cache/metadata_tank.h"

namespace engine::cache {
namespace {

enum class Op : std::uint8_t {
  insert,
  insert_run,
  remove,
  commit,
  abort,
  resize,
  begin,
  shut_down,
  reopen,
};
constexpr const char* kNames[] = {"insert", "insert_run", "remove",    "commit", "abort",
                                  "resize", "begin",      "shut_down", "reopen"};

struct Step {
  Op op{};
  std::uint32_t block = 0;
  std::uint32_t count = 0;
};

void showValue(const Step& step, std::ostream& out) {   // NOLINT(readability-identifier-naming)
  out << kNames[static_cast<int>(step.op)] << "(" << step.block << ", " << step.count << ")";
}

rc::Gen<std::vector<Step>> steps() {
  const auto op = rc::gen::weightedElement<Op>({{6, Op::insert},
                                                {4, Op::insert_run},
                                                {6, Op::remove},
                                                {3, Op::commit},
                                                {1, Op::abort},
                                                {3, Op::resize},
                                                {2, Op::begin},
                                                {3, Op::shut_down},
                                                {1, Op::reopen}});
  return rc::gen::container<std::vector<Step>>(rc::gen::construct<Step>(
      op, rc::gen::inRange<std::uint32_t>(0, 120), rc::gen::inRange<std::uint32_t>(1, 30)));
}

struct Model {
  CoreState core;
  std::uint32_t cache_blocks = 0;
  bool clean = false;   // what is in `core` beside the mappings may be loaded
};

class History {
 public:
  History(sim::SimDevice& device, std::uint32_t version)
      : device_{device}, options_{options_for(version, 60, Shape::small)} {
    metadata_ = must(Metadata::open(device_, options_));
    now_.cache_blocks = 60;
    committed_ = now_;
  }

  std::string run(const std::vector<Step>& steps) {
    for (std::size_t i = 0; i < steps.size(); ++i) {
      std::string wrong = step(steps[i], static_cast<std::uint32_t>(i));
      if (wrong.empty()) wrong = compare();
      if (!wrong.empty()) return fmt::format("step {}: {}", i, wrong);
    }
    metadata_->close();
    return {};
  }

 private:
  // After a change that may have run out of space: everything since the last commit is gone.
  std::string settle(const Result<void>& result) {
    if (result) return {};
    if (code_of(result) != Errc::no_metadata_space) return result.error().what;
    must(metadata_->abort());
    now_ = committed_;
    return "full";
  }

  std::string insert(std::uint32_t block) {
    const std::uint64_t origin = next_origin_++;   // in one place at a time
    const Errc expected = block >= now_.cache_blocks           ? Errc::invalid
                          : now_.core.mappings.contains(block) ? Errc::exists
                                                               : Errc::ok;
    const auto result = metadata_->insert(CacheBlock{block}, OriginBlock{origin});
    if (expected != Errc::ok) return code_of(result) == expected ? "" : "insert: refusal";
    if (std::string what = settle(result); !what.empty()) return what;
    now_.core.mappings[block] = origin;
    now_.clean = false;
    return {};
  }

  std::string committed() {
    committed_ = now_;
    const auto image = device_.durable_snapshot();
    if (std::string faults = faults_of(*image, Shape::small); !faults.empty()) return faults;
    const auto report = report_of(*image, Shape::small);
    if (report.superblock.clean() != now_.clean) return "the mark of a clean shutdown";
    std::vector<StoredMapping> stored;
    for (const auto& mapping : report.mappings)
      stored.push_back({.block = CacheBlock{mapping.cache_block},
                        .origin = OriginBlock{mapping.origin_block},
                        .dirty = mapping.dirty,
                        .hint = mapping.hint});
    auto expected = now_.core.stored();
    if (!now_.clean) {
      for (auto* const list : {&stored, &expected}) {
        for (StoredMapping& mapping : *list) {
          mapping.dirty = false;
          mapping.hint.reset();
        }
      }
    }
    return stored == expected ? "" : "the image's mappings";
  }

  std::string resize(std::uint32_t to) {
    bool drops_dirty = false;
    for (const auto& [block, origin] : now_.core.mappings) {
      const auto dirty = now_.core.dirty.find(block);
      drops_dirty |=
          block >= to && (!now_.clean || (dirty != now_.core.dirty.end() && dirty->second));
    }
    const auto result = metadata_->resize(to);
    if (drops_dirty) return code_of(result) == Errc::busy ? "" : "resize: dropped dirty blocks";
    if (std::string what = settle(result); !what.empty()) return what == "full" ? "" : what;
    now_.cache_blocks = to;
    std::erase_if(now_.core.mappings, [&](const auto& entry) { return entry.first >= to; });
    return {};
  }

  std::string shut_down(std::uint32_t salt) {
    for (const auto& [block, origin] : now_.core.mappings) {
      now_.core.dirty[block] = (block * 7 + salt) % 3 == 0;
      now_.core.hints[block] = (block + salt) % 64;
    }
    now_.core.discarded.clear();
    for (std::uint64_t i = 0; i < salt % 5; ++i)
      now_.core.discarded[i * 100 + salt] = true;
    now_.core.statistics.read_hits = salt;
    const auto result = metadata_->shut_down_cleanly(now_.core.clean_state());
    if (result) {
      now_.clean = true;
      return committed();
    }
    if (code_of(result) != Errc::no_metadata_space) return result.error().what;
    // Full, perhaps already when committing what was open: then all of that is gone as well.
    if (metadata_->changed_this_transaction()) {
      must(metadata_->abort());
      now_ = committed_;
      return {};
    }
    const auto mapped = mappings_of(*metadata_).size();
    if (mapped != now_.core.mappings.size()) return "a failed shutdown lost mappings";
    now_.clean = must(metadata_->clean());
    if (now_.clean && !committed_.clean) return "a failed shutdown is marked";
    if (now_.clean) now_ = committed_;
    return now_.clean ? "" : committed();
  }

  std::string step(const Step& step, std::uint32_t number) {
    switch (step.op) {
      case Op::insert: {
        const std::string what = insert(step.block);
        return what == "full" ? "" : what;
      }
      case Op::insert_run:
        for (std::uint32_t i = 0; i < step.count; ++i) {
          const std::string what = insert(step.block + i);
          if (what == "full") return {};
          if (!what.empty()) return what;
        }
        return {};
      case Op::remove: {
        const auto at = now_.core.mappings.lower_bound(step.block);
        if (at == now_.core.mappings.end()) return {};
        const std::string what = settle(metadata_->remove(CacheBlock{at->first}));
        if (!what.empty()) return what == "full" ? "" : what;
        now_.core.mappings.erase(at);
        now_.clean = false;
        return {};
      }
      case Op::commit: {
        const bool changed = metadata_->changed_this_transaction();
        const std::string what = settle(metadata_->commit());
        if (!what.empty()) return what == "full" ? "" : what;
        if (changed) now_.clean = false;
        return committed();
      }
      case Op::abort:
        must(metadata_->abort());
        now_ = committed_;
        return {};
      case Op::resize:
        return resize(1 + step.block);
      case Op::begin: {
        const std::string what = settle(metadata_->begin_service());
        if (!what.empty()) return what == "full" ? "" : what;
        now_.clean = false;
        return committed();
      }
      case Op::shut_down:
        return shut_down(number);
      case Op::reopen:
        metadata_->close();
        metadata_.reset();
        metadata_ = must(Metadata::open(device_, options_));
        now_ = committed_;
        return {};
    }
    return {};
  }

  std::string compare() {
    if (must(metadata_->cache_blocks()) != now_.cache_blocks) return "cache_blocks";
    if (must(metadata_->clean()) != now_.clean) return "clean";
    const auto expected = now_.clean ? now_.core.stored() : now_.core.all_dirty();
    auto loaded = must(metadata_->load_mappings(kTestPolicy, kTestOriginBlocks));
    if (now_.clean && !loaded.empty() && !loaded[0].hint) {
      // Hints do not outlive a resize without the mark; otherwise they must be there.
      return "hints are gone";
    }
    if (loaded != expected) return "mappings";
    std::vector<std::uint64_t> discarded;
    if (now_.clean) {
      for (const auto& [block, set] : now_.core.discarded)
        discarded.push_back(block);
    }
    return discards_of(*metadata_) == discarded ? "" : "discards";
  }

  sim::SimDevice& device_;
  const MetadataOptions options_;
  std::unique_ptr<Metadata> metadata_;
  Model now_;
  Model committed_;
  std::uint64_t next_origin_ = 0;
};

std::string run_history(const std::vector<Step>& steps, std::uint32_t version,
                        std::uint64_t blocks) {
  std::string wrong;
  in_tank({.blocks = blocks}, [&](sim::SimDevice& device) {
    History history{device, version};
    wrong = history.run(steps);
  });
  return wrong;
}

RC_GTEST_PROP(CacheMetadataProperty, MatchesAModel, ()) {
  const auto history = *rc::gen::resize(80, steps());
  const auto version = *rc::gen::element<std::uint32_t>(1, 2);
  const std::string wrong = run_history(history, version, 512);
  if (!wrong.empty()) RC_FAIL(wrong);
}

RC_GTEST_PROP(CacheMetadataProperty, MatchesAModelWhenSpaceRunsOut, ()) {
  const auto history = *rc::gen::resize(80, steps());
  const auto version = *rc::gen::element<std::uint32_t>(1, 2);
  const std::string wrong = run_history(history, version, 64);
  if (!wrong.empty()) RC_FAIL(wrong);
}

}   // namespace
}   // namespace engine::cache
