// One bit for each block, changed and read by any thread without a lock. What orders a change and a
// look at one block is the cell of that block.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "engine/base/check.h"
#include "engine/base/units.h"
#include "engine/fiber/context.h"

namespace engine::cache {

template <typename Block>
class BlockBits {
 public:
  BlockBits(const char* name, std::uint64_t count)
      : object_{ObjectKind::variable, name},
        size_{count},
        words_{std::make_unique<std::atomic<std::uint64_t>[]>(div_ceil(count, kBits))} {}

  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

  [[nodiscard]] bool test(Block block,
                          std::source_location where = std::source_location::current()) const {
    schedule_point(OpKind::variable_read, Access::read, &object_, where);
    return (word(block).load(std::memory_order_acquire) & mask(block)) != 0;
  }
  // True: it was clear. A block whose bit is set already is only looked at.
  bool set(Block block, std::source_location where = std::source_location::current()) {
    if (test(block, where)) return false;
    also_touches(object_);
    if ((word(block).fetch_or(mask(block)) & mask(block)) != 0) return false;
    count_.fetch_add(1, std::memory_order_relaxed);
    return true;
  }
  // True: it was set.
  bool clear(Block block, std::source_location where = std::source_location::current()) {
    if (!test(block, where)) return false;
    also_touches(object_);
    if ((word(block).fetch_and(~mask(block)) & mask(block)) == 0) return false;
    count_.fetch_sub(1, std::memory_order_relaxed);
    return true;
  }
  // Bits that are set.
  [[nodiscard]] std::uint64_t count() const noexcept {
    return count_.load(std::memory_order_relaxed);
  }
  // Without a scheduling point: for reports.
  [[nodiscard]] bool peek(Block block) const noexcept {
    return (word(block).load(std::memory_order_relaxed) & mask(block)) != 0;
  }

 private:
  static constexpr std::uint64_t kBits = 64;

  [[nodiscard]] std::atomic<std::uint64_t>& word(Block block) const noexcept {
    ENGINE_CHECK(block.value() < size_, "{}: block {} of {}", object_.name, block, size_);
    return words_[block.value() / kBits];
  }
  [[nodiscard]] static std::uint64_t mask(Block block) noexcept {
    return std::uint64_t{1} << (block.value() % kBits);
  }

  SyncObject object_;
  std::uint64_t size_;
  std::unique_ptr<std::atomic<std::uint64_t>[]> words_;
  std::atomic<std::uint64_t> count_{0};
};

}   // namespace engine::cache
