// Random histories of an array and a bitset against vectors, in small and in Linux's capacities:
// contents, shape and every reference count after every step, after each abort what was committed.
#include <ostream>
#include <utility>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "engine/pdata/bitset.h"
#include "tests/unit/pdata/array_tank.h"

namespace engine::pdata {
namespace {

enum class Op : std::uint8_t {
  set,
  set_run,
  update,
  resize,
  set_bit,
  assign_bits,
  resize_bits,
  commit,
  abort,
};
constexpr const char* kNames[] = {"set",         "set_run",     "update", "resize", "set_bit",
                                  "assign_bits", "resize_bits", "commit", "abort"};

struct Step {
  Op op{};
  std::uint64_t index = 0;
  std::uint64_t value = 0;
};

void showValue(const Step& step, std::ostream& out) {   // NOLINT(readability-identifier-naming)
  out << kNames[static_cast<int>(step.op)] << "(" << step.index << ", " << step.value << ")";
}

rc::Gen<std::vector<Step>> steps(std::uint64_t size_max) {
  const auto op = rc::gen::weightedElement<Op>({{6, Op::set},
                                                {3, Op::set_run},
                                                {3, Op::update},
                                                {5, Op::resize},
                                                {8, Op::set_bit},
                                                {2, Op::assign_bits},
                                                {5, Op::resize_bits},
                                                {3, Op::commit},
                                                {1, Op::abort}});
  return rc::gen::container<std::vector<Step>>(rc::gen::construct<Step>(
      op, rc::gen::inRange<std::uint64_t>(0, size_max), rc::gen::inRange<std::uint64_t>(1, 100)));
}

struct Content {
  std::vector<std::uint64_t> values;
  std::vector<bool> bits;
  MetaBlock values_root{0};
  MetaBlock bits_root{0};
};

// Returns what went wrong first; empty: nothing.
class History {
 public:
  History(BlockManager& blocks, const ArrayOptions& options)
      : blocks_{blocks}, options_{options}, pool_{must(TestPool::create(blocks))} {
    make_arrays();
    now_.values_root = must(array_->make_empty());
    now_.bits_root = must(bits_->make_empty());
    commit();
  }

  std::string run(const std::vector<Step>& steps) {
    for (std::size_t i = 0; i < steps.size(); ++i) {
      step(steps[i]);
      const std::string wrong = inspect();
      if (!wrong.empty()) return fmt::format("step {}: {}", i, wrong);
    }
    return {};
  }

 private:
  void make_arrays() {
    array_.emplace(pool_->tm(), options_);
    bits_.emplace(pool_->tm(), options_);
  }
  void commit() {
    now_.bits_root = must(bits_->flush(now_.bits_root));
    must(pool_->commit());
    committed_ = now_;
  }
  void abort() {
    array_.reset();
    bits_.reset();
    pool_.reset();
    blocks_.abandon();
    pool_ = must(TestPool::open(blocks_));
    make_arrays();
    now_ = committed_;
  }

  void set(std::uint64_t index, std::uint64_t value) {
    now_.values_root = must(array_->set(now_.values_root, index, le64(value)));
    now_.values[index] = value;
  }

  void step(const Step& step) {
    const std::uint64_t size = now_.values.size();
    const std::uint64_t nr_bits = now_.bits.size();
    switch (step.op) {
      case Op::set:
        if (size != 0) set(step.index % size, step.value);
        return;
      case Op::set_run:
        for (std::uint64_t i = 0; i < step.value && step.index + i < size; ++i)
          set(step.index + i, i);
        return;
      case Op::update: {
        const auto change = [&](std::uint64_t index, std::uint64_t old) {
          return index % step.value == step.index % step.value ? index : old;
        };
        now_.values_root =
            must(array_->update(now_.values_root, size, [&](std::uint64_t index, const Le64& old) {
              return le64(change(index, old.value()));
            }));
        for (std::uint64_t i = 0; i < size; ++i)
          now_.values[i] = change(i, now_.values[i]);
        return;
      }
      case Op::resize:
        now_.values_root =
            must(array_->resize(now_.values_root, size, step.index, le64(step.value)));
        now_.values.resize(step.index, step.value);
        return;
      case Op::set_bit:
        if (nr_bits == 0) return;
        now_.bits[step.index % nr_bits] = step.value % 3 != 0;
        now_.bits_root =
            must(bits_->set(now_.bits_root, step.index % nr_bits, step.value % 3 != 0));
        return;
      case Op::assign_bits: {
        const auto on = [&](std::uint64_t bit) { return bit % step.value < 2; };
        now_.bits_root = must(bits_->assign(now_.bits_root, nr_bits, on));
        for (std::uint64_t i = 0; i < nr_bits; ++i)
          now_.bits[i] = on(i);
        return;
      }
      case Op::resize_bits:
        now_.bits_root = must(bits_->resize(now_.bits_root, nr_bits, step.index * 7));
        now_.bits.resize(step.index * 7, false);
        return;
      case Op::commit:
        commit();
        return;
      case Op::abort:
        abort();
        return;
    }
  }

  std::string inspect() {
    const ArrayShape values =
        inspect_array(pool_->tm(), now_.values_root, 8, array_->capacity(), now_.values.size());
    if (!values.error.empty()) return values.error;
    if (values.values != now_.values) return "values differ";
    const ArrayShape words = inspect_array(pool_->tm(), now_.bits_root, 8, array_->capacity(),
                                           div_ceil(now_.bits.size(), 64));
    if (!words.error.empty()) return "bits: " + words.error;
    for (std::uint64_t bit = 0; bit < words.values.size() * 64; ++bit) {
      const bool on = (words.values[bit / 64] >> bit % 64 & 1) != 0;
      if (bit >= now_.bits.size() ? on : bits_->flushed() && on != now_.bits[bit])
        return fmt::format("bit {} on disk", bit);
    }
    for (std::uint64_t bit = 0; bit < now_.bits.size(); bit += 1 + now_.bits.size() / 50) {
      if (must(bits_->get(now_.bits_root, bit)) != now_.bits[bit])
        return fmt::format("bit {}", bit);
    }
    std::vector<bool> walked(now_.bits.size());
    must(bits_->walk(now_.bits_root, now_.bits.size(), [&](std::uint64_t bit) -> Result<void> {
      walked[bit] = true;
      return {};
    }));
    if (walked != now_.bits) return "walk over bits";
    if (must(array_->stored_size(now_.values_root)) != now_.values.size()) return "stored_size";
    const std::uint64_t used = blocks_in_use(pool_->tm());
    const std::uint64_t ours = values.blocks.size() + words.blocks.size();
    if (used != ours + kEmptyPoolBlocks) return fmt::format("{} blocks in use, not {}", used, ours);
    return {};
  }

  BlockManager& blocks_;
  const ArrayOptions options_;
  std::unique_ptr<TestPool> pool_;
  std::optional<Array<Le64>> array_;
  std::optional<Bitset> bits_;
  Content now_;
  Content committed_;
};

std::string run_history(const std::vector<Step>& steps, const ArrayOptions& options) {
  std::string wrong;
  in_tank({.blocks = 1024}, [&](sim::SimDevice& device) {
    BlockManager blocks{device};
    History history{blocks, options};
    wrong = history.run(steps);
    blocks.quiesce();
  });
  return wrong;
}

RC_GTEST_PROP(ArrayProperty, SmallBlocksMatchVectors, ()) {
  const auto history = *rc::gen::resize(120, steps(120));
  const auto entries = *rc::gen::element<std::uint32_t>(1, 3, 8);
  const std::string wrong = run_history(history, {.fan_out = 6, .entries = entries});
  if (!wrong.empty()) RC_FAIL(wrong);
}

RC_GTEST_PROP(ArrayProperty, LinuxsBlocksMatchVectors, ()) {
  auto history = *rc::gen::resize(40, steps(5));
  for (Step& step : history)
    step.index = step.index * 509 + step.value % 5 - (step.index != 0 ? 2 : 0);
  const std::string wrong = run_history(history, {});
  if (!wrong.empty()) RC_FAIL(wrong);
}

}   // namespace
}   // namespace engine::pdata
