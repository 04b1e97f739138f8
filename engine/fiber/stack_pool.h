// Stacks for fibers: mapped with a guard page below, reused most recent first. A fresh stack costs
// about 300 switches, so executors keep one pool per thread. Not thread-safe.
#pragma once

#include <cstddef>
#include <vector>

namespace engine {

struct Stack {
  std::byte* bottom = nullptr;   // lowest usable address, just above the guard page
  std::size_t size = 0;
  [[nodiscard]] std::byte* top() const noexcept { return bottom + size; }
};

class StackPool {
 public:
  // `size` is rounded up to whole pages. AddressSanitizer's frames are larger: see the .cc file.
  explicit StackPool(std::size_t size = kDefaultSize) noexcept;
  ~StackPool();
  StackPool(const StackPool&) = delete;
  StackPool& operator=(const StackPool&) = delete;

  // Aborts the process when the system has no more memory mappings.
  [[nodiscard]] Stack take();
  void give_back(Stack stack);

  static constexpr std::size_t kDefaultSize = std::size_t{64} * 1024;

 private:
  std::size_t size_;
  std::vector<Stack> free_;
};

}   // namespace engine
