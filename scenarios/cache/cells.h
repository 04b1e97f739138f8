// Which blocks' cells are held, how often the metadata has been committed and a policy locked: what
// the engine's events tell of a cache. For judges that ask whether something was done under a cell
// or a lock.
//
// Not covered: the blocks of a range cell behind its first.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "engine/cache/blocks.h"
#include "engine/fiber/event.h"
#include "engine/fiber/executor.h"

namespace scenarios::cache {

class CacheCells final : public engine::TraceSink {
 public:
  using Released = std::function<void(engine::cache::OriginBlock)>;

  // `released` is told after each release of a block's cell.
  explicit CacheCells(Released released) : released_{std::move(released)} {}

  void event(const engine::Event& event) noexcept override;

  // Of tables that come and go on one device each has its own cells; any of them counts.
  [[nodiscard]] bool held(engine::cache::OriginBlock block) const noexcept {
    return held_.contains(block.value());
  }
  // Commits that have ended well.
  [[nodiscard]] std::uint64_t commits() const noexcept { return commits_; }
  // How often the lock of a policy has been taken.
  [[nodiscard]] std::uint64_t policy_locks() const noexcept { return policy_locks_; }

 private:
  Released released_;
  std::map<std::uint64_t, std::uint32_t> held_;   // cells by their first block
  std::uint64_t commits_ = 0;
  std::uint64_t policy_locks_ = 0;
};

}   // namespace scenarios::cache
