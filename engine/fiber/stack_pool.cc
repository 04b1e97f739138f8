#include "engine/fiber/stack_pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <iterator>

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

void unmap(const Stack& stack) {
  munmap(stack.bottom - kPage, stack.size + kPage);
}

// Stacks of the thread's pools that have ended, for those that follow: who makes one executor after
// another would map, guard and fault in the same stacks for each, and ThreadSanitizer forgets what
// it knows of a mapping word by word. Bounded, as pools may have been larger than any that comes.
class KeptStacks {
 public:
  static constexpr std::size_t kMax = 4096;

  ~KeptStacks() {
    for (const Stack& stack : stacks_)
      unmap(stack);
    t_ended_ = true;
  }
  // None of the pools of a thread that outlive this keeps anything.
  static void keep(const Stack& stack) {
    if (t_ended_ || of_thread().stacks_.size() == kMax) {
      unmap(stack);
      return;
    }
    of_thread().stacks_.push_back(stack);
  }
  // The last one kept that has `size` bytes, or none.
  static Stack take(std::size_t size) {
    if (t_ended_) return {};
    std::vector<Stack>& kept = of_thread().stacks_;
    const auto found = std::find_if(kept.rbegin(), kept.rend(),
                                    [&](const Stack& stack) { return stack.size == size; });
    if (found == kept.rend()) return {};
    const Stack stack = *found;
    kept.erase(std::next(found).base());
    return stack;
  }

 private:
  static KeptStacks& of_thread() {
    static thread_local KeptStacks kept;
    return kept;
  }
  std::vector<Stack> stacks_;
  static thread_local bool t_ended_;
};
thread_local bool KeptStacks::t_ended_ = false;

}   // namespace

StackPool::StackPool(std::size_t size) noexcept
    : size_{(size * kSanitizerFactor + kPage - 1) / kPage * kPage} {}

StackPool::~StackPool() {
  for (const Stack& stack : free_)
    KeptStacks::keep(stack);
}

Stack StackPool::take() {
  if (!free_.empty()) {
    const Stack stack = free_.back();
    free_.pop_back();
    return stack;
  }
  if (const Stack kept = KeptStacks::take(size_); kept.bottom != nullptr) return kept;
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
