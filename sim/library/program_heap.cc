#include "sim/library/program_heap.h"

#include <algorithm>
#include <bit>
#include <new>

#include <sys/mman.h>

#include "sim/tanks_own_memory.h"

// Those of a program that is built with one, though the tank is not.
extern "C" {
[[gnu::weak]] void __asan_init();
[[gnu::weak]] void __tsan_init();
[[gnu::weak]] void __msan_init();
}

namespace sim {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kAddresses = std::size_t{64} << 30U;
constexpr std::size_t kGrowth = std::size_t{1} << 20U;

constinit std::atomic<ProgramHeap*> the_heap{nullptr};
// What operator delete asks first. 0: there is no such heap.
constinit std::atomic<std::uintptr_t> heap_begin{0};
constinit std::atomic<std::uint64_t> owner{0};   // the thread that may put blocks on free lists

std::uint64_t this_thread() noexcept {
  static constinit thread_local char anchor = 0;
  return reinterpret_cast<std::uintptr_t>(&anchor);
}

}   // namespace

ProgramHeap::ProgramHeap(std::byte* reserved) noexcept
    : begin_{reinterpret_cast<std::uintptr_t>(reserved) + kPage},
      next_{reserved + kPage},
      writable_{next_} {}

// Never unmade: what a program keeps may be given back as late as by a static's destructor.
ProgramHeap* ProgramHeap::make() noexcept {
  if (__asan_init != nullptr || __tsan_init != nullptr || __msan_init != nullptr) return nullptr;
  void* const reserved =
      mmap(nullptr, kAddresses, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) return nullptr;
  auto* const made = new (std::nothrow) ProgramHeap{static_cast<std::byte*>(reserved)};
  if (made == nullptr) return nullptr;
  the_heap.store(made, std::memory_order_relaxed);
  heap_begin.store(made->begin_, std::memory_order_release);
  // Whether our operator new is the one that is asked.
  t_program_heap = made;
  void* const probe = ::operator new(1);
  t_program_heap = nullptr;
  const bool ours = made->ordinal_ == 1;
  ::operator delete(probe);
  return ours ? made : nullptr;
}

ProgramHeap* ProgramHeap::acquire() {
  link_operator_new();
  static ProgramHeap* const heap = make();
  if (heap == nullptr || heap->in_use_.exchange(true, std::memory_order_acquire)) return nullptr;
  owner.store(this_thread(), std::memory_order_relaxed);
  return heap;
}

std::uint32_t ProgramHeap::begin_run(Watcher* watcher) noexcept {
  watcher_ = watcher;
  ordinal_ = left_ = 0;
  return ++run_;
}

std::uintptr_t ProgramHeap::end() const noexcept {
  return begin_ + kAddresses - kPage;
}

std::size_t ProgramHeap::class_of(std::size_t bytes) noexcept {
  if (bytes <= kSmall) return (bytes + kStep - 1) / kStep;
  return kSmall / kStep + static_cast<std::size_t>(std::bit_width((bytes - 1) / kSmall));
}

std::size_t ProgramHeap::room_of(std::size_t size_class) noexcept {
  if (size_class <= kSmall / kStep) return size_class * kStep;
  return kSmall << (size_class - kSmall / kStep);
}

ProgramHeap::Head* ProgramHeap::fresh(std::size_t room) noexcept {
  const std::size_t whole = sizeof(Head) + room;
  const std::uintptr_t at = reinterpret_cast<std::uintptr_t>(next_);
  if (whole > end() - at) return nullptr;
  if (next_ + whole > writable_) {
    const auto missing = static_cast<std::size_t>(next_ + whole - writable_);
    const std::size_t more = std::min((missing + kGrowth - 1) / kGrowth * kGrowth,
                                      end() - reinterpret_cast<std::uintptr_t>(writable_));
    if (mprotect(writable_, more, PROT_READ | PROT_WRITE) != 0) return nullptr;
    writable_ += more;
  }
  auto* const head = new (next_) Head;
  head->room = room;
  next_ += whole;
  return head;
}

void* ProgramHeap::take(std::size_t bytes, std::size_t alignment) noexcept {
  const TanksOwnMemory own;
  const std::size_t extra = alignment > kStep ? alignment + sizeof(Head) : 0;
  if (bytes > kAddresses / 2 || extra > kAddresses / 4) return nullptr;
  const std::size_t size_class = class_of(std::max<std::size_t>(bytes, 1) + extra);
  std::vector<Head*>& free = free_[size_class];
  Head* head = nullptr;
  if (!free.empty()) {
    head = free.back();
    free.pop_back();
  } else {
    head = fresh(room_of(size_class));
    if (head == nullptr) return nullptr;
  }
  head->bytes = bytes;
  head->run = run_;
  head->ordinal = ordinal_++;
  ++left_;
  head->live.store(true, std::memory_order_relaxed);
  if (watcher_ != nullptr) watcher_->taken();
  auto* memory = reinterpret_cast<std::byte*>(head + 1);
  const std::size_t past = reinterpret_cast<std::uintptr_t>(memory) % std::max(alignment, kStep);
  if (past == 0) return memory;
  // By a head at least, which goes in between.
  std::size_t moved = alignment - past;
  if (moved < sizeof(Head)) moved += alignment;
  auto* const second = new (memory + moved - sizeof(Head)) Head;
  second->moved = static_cast<std::uint32_t>(moved);
  return memory + moved;
}

bool ProgramHeap::give_back(void* memory) noexcept {
  const std::uintptr_t begin = heap_begin.load(std::memory_order_relaxed);
  if (begin == 0 || reinterpret_cast<std::uintptr_t>(memory) - begin >= kAddresses) return false;
  ProgramHeap* const heap = the_heap.load(std::memory_order_relaxed);
  auto* head = reinterpret_cast<Head*>(memory) - 1;
  head = reinterpret_cast<Head*>(reinterpret_cast<std::byte*>(head) - head->moved);
  // Twice: glibc ends the process, too; under the tank that is a finding.
  if (!head->live.exchange(false, std::memory_order_relaxed)) std::abort();
  // What another thread gives back is not taken again.
  if (owner.load(std::memory_order_relaxed) != this_thread()) return true;
  if (head->run == heap->run_) --heap->left_;
  const TanksOwnMemory own;
  heap->free_[class_of(head->room)].push_back(head);
  return true;
}

std::vector<ProgramHeap::Block> ProgramHeap::blocks() const {
  std::vector<Block> all;
  const auto* at = reinterpret_cast<const std::byte*>(begin_);
  while (at < next_) {
    const auto* const head = reinterpret_cast<const Head*>(at);
    at += sizeof(Head) + head->room;
    if (!head->live.load(std::memory_order_relaxed)) continue;
    all.push_back({reinterpret_cast<std::uintptr_t>(head + 1) - begin_, head->room, head->bytes,
                   head->run, head->ordinal});
  }
  return all;
}

}   // namespace sim
