#include "engine/fiber/stack_pool.h"

#include <sys/mman.h>

#include "engine/base/check.h"
#include "engine/base/sanitizers.h"

namespace engine {
namespace {

constexpr std::size_t kPage = 4096;

// Redzones make frames several times as large.
#if WAVETANK_ASAN || WAVETANK_TSAN
constexpr std::size_t kSanitizerFactor = 4;
#else
constexpr std::size_t kSanitizerFactor = 1;
#endif

}   // namespace

StackPool::StackPool(std::size_t size) noexcept
    : size_{(size * kSanitizerFactor + kPage - 1) / kPage * kPage} {}

StackPool::~StackPool() {
  for (const Stack& stack : free_)
    munmap(stack.bottom - kPage, stack.size + kPage);
}

Stack StackPool::take() {
  if (!free_.empty()) {
    const Stack stack = free_.back();
    free_.pop_back();
    return stack;
  }
  void* const memory = mmap(nullptr, size_ + kPage, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ENGINE_CHECK(memory != MAP_FAILED, "no memory for a fiber's stack of {} bytes", size_);
  ENGINE_CHECK(mprotect(memory, kPage, PROT_NONE) == 0, "cannot guard a fiber's stack");
  return Stack{static_cast<std::byte*>(memory) + kPage, size_};
}

void StackPool::give_back(Stack stack) {
  free_.push_back(stack);
}

}   // namespace engine
