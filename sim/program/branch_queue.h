// What is left to do of an exploration and waits for a process that has nothing to do. In memory
// that the processes share; made before they are forked.
#pragma once

#include <cstdint>
#include <optional>

#include "sim/strategy_bounded.h"

namespace program {

class BranchQueue {
 public:
  // Among so many processes.
  explicit BranchQueue(std::uint32_t workers);
  ~BranchQueue();
  BranchQueue(const BranchQueue&) = delete;
  BranchQueue& operator=(const BranchQueue&) = delete;

  // Somebody waits for work, and there is none.
  [[nodiscard]] bool is_wanted() const noexcept;
  // How many choices a branch may have.
  static constexpr std::size_t kChoicesMax = std::size_t{1} << 16U;
  // Only while it is wanted.
  void put(const sim::Branch& branch);
  // Waits for one. None: nobody has any left, or the queue was closed.
  [[nodiscard]] std::optional<sim::Branch> take();
  // Nobody is to take up anything more.
  void close() noexcept;
  [[nodiscard]] bool is_closed() const noexcept;
  // Estimated, of what is in it.
  [[nodiscard]] double executions_left() const noexcept;

 private:
  struct Shared;
  Shared* shared_;
};

}   // namespace program
