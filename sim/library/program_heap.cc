#include "sim/library/program_heap.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <mutex>
#include <new>

#include <sys/mman.h>

#include "engine/base/bytes.h"
#include "engine/fiber/context.h"
#include "sim/execution.h"
#include "sim/tanks_own_memory.h"

// Those of a program that is built with one, though the tank is not.
extern "C" {
[[gnu::weak]] void __asan_init();
[[gnu::weak]] void __tsan_init();
[[gnu::weak]] void __msan_init();
}

namespace sim {
namespace {

// Nobody may touch what is right before a heap. Not one page, which tells the stack of a fiber
// (memory_scan.cc).
constexpr std::size_t kHole = 8192;
constexpr std::size_t kAddresses = std::size_t{64} << 30U;
constexpr std::size_t kGrowth = std::size_t{1} << 20U;
constexpr std::size_t kPageBytes = 4096;
// Larger blocks are closed when they are given back, which costs two system calls and no pages, and
// tells of who only reads. Only so many of a run: each may cost the process two of its mappings, of
// which there are 65,530. By run, as what earlier ones have closed depends on how many there were.
constexpr std::size_t kFilledMost = std::size_t{64} << 10U;
constexpr std::uint32_t kClosedMost = 256;

// Never unmade: what a program keeps may be given back as late as by a static's destructor.
constinit std::array<std::atomic<ProgramHeap*>, ProgramHeap::kHeapsMax> heaps{};
constinit std::atomic<std::uint32_t> heaps_made{0};
constinit std::atomic<bool> no_more{false};
constinit std::mutex making;

std::uint64_t this_thread() noexcept {
  static constinit thread_local char anchor = 0;
  return reinterpret_cast<std::uintptr_t>(&anchor);
}

std::byte* page_from(std::byte* at) noexcept {   // the first that begins there or later
  return at + (kPageBytes - reinterpret_cast<std::uintptr_t>(at) % kPageBytes) % kPageBytes;
}

void fill(void* memory, std::size_t bytes) noexcept {
  std::memset(memory, std::to_integer<int>(engine::kPoisonByte), bytes);
}

// Before anything is done to the memory.
void tell_execution(const void* memory, std::size_t bytes) {
  if (bytes < sizeof(engine::SyncObject)) return;
  if (auto* const execution = dynamic_cast<Execution*>(engine::t_thread.executor))
    execution->gone(memory, bytes);
}

}   // namespace

ProgramHeap::ProgramHeap(std::byte* reserved) noexcept
    : begin_{reinterpret_cast<std::uintptr_t>(reserved) + kHole},
      next_{reserved + kHole},
      writable_{next_} {}

// One more, and known to operator delete.
ProgramHeap* ProgramHeap::make() noexcept {
  if (__asan_init != nullptr || __tsan_init != nullptr || __msan_init != nullptr) return nullptr;
  void* const reserved =
      mmap(nullptr, kAddresses, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) return nullptr;
  auto* const made = new (std::nothrow) ProgramHeap{static_cast<std::byte*>(reserved)};
  if (made == nullptr) return nullptr;
  const std::uint32_t number = heaps_made.load(std::memory_order_relaxed);
  heaps[number].store(made, std::memory_order_relaxed);
  heaps_made.store(number + 1, std::memory_order_release);
  // Whether our operator new is the one that is asked.
  t_program_heap = made;
  void* const probe = ::operator new(1);
  t_program_heap = nullptr;
  const bool ours = made->ordinal_ == 1;
  ::operator delete(probe);
  return ours ? made : nullptr;
}

bool ProgramHeap::take_into_use() noexcept {
  if (in_use_.exchange(true, std::memory_order_acquire)) return false;
  owner_.store(this_thread(), std::memory_order_relaxed);
  return true;
}

void ProgramHeap::let_go() noexcept {
  owner_.store(0, std::memory_order_relaxed);
  in_use_.store(false, std::memory_order_release);
}

ProgramHeap* ProgramHeap::acquire() {
  link_operator_new();
  for (std::uint32_t i = 0;; ++i) {
    if (i == heaps_made.load(std::memory_order_acquire)) {
      const std::lock_guard guard{making};
      if (i != heaps_made.load(std::memory_order_relaxed)) continue;
      if (i == kHeapsMax || no_more.load(std::memory_order_relaxed)) return nullptr;
      if (make() == nullptr) {
        no_more.store(true, std::memory_order_relaxed);
        return nullptr;
      }
    }
    ProgramHeap* const heap = heaps[i].load(std::memory_order_relaxed);
    if (heap->take_into_use()) return heap;
  }
}

ProgramHeap* ProgramHeap::of(const void* memory) noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(memory);
  for (std::uint32_t i = 0; i != heaps_made.load(std::memory_order_acquire); ++i) {
    ProgramHeap* const heap = heaps[i].load(std::memory_order_relaxed);
    if (at - heap->begin_ < heap->end() - heap->begin_) return heap;
  }
  return nullptr;
}

std::uint32_t ProgramHeap::begin_run(Watcher* watcher) noexcept {
  watcher_ = watcher;
  ordinal_ = left_ = closed_ = 0;
  return ++run_;
}

std::uintptr_t ProgramHeap::end() const noexcept {
  return begin_ + kAddresses - kHole;
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
  // A byte more: a pointer right past the end may be all that is kept of a block, and must not be
  // one to the next head, which we keep ourselves.
  const std::size_t size_class = class_of(bytes + 1 + extra);
  std::vector<Head*>& free = free_[size_class];
  Head* head = nullptr;
  if (!free.empty()) {
    head = free.back();
    if (head->closed && !open(*head)) return nullptr;
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
  ProgramHeap* const heap = of(memory);
  if (heap == nullptr) return false;
  auto* head = reinterpret_cast<Head*>(memory) - 1;
  head = reinterpret_cast<Head*>(reinterpret_cast<std::byte*>(head) - head->moved);
  if (t_program_heap == heap) tell_execution(memory, head->bytes);
  // Twice: glibc ends the process, too; under the tank that is a finding.
  if (!head->live.exchange(false, std::memory_order_relaxed)) std::abort();
  // What another thread gives back is not taken again.
  if (heap->owner_.load(std::memory_order_relaxed) != this_thread()) {
    fill(memory, head->bytes);
    return true;
  }
  heap->close_or_fill(*head, static_cast<std::byte*>(memory));
  if (head->run == heap->run_) --heap->left_;
  const TanksOwnMemory own;
  heap->free_[class_of(head->room)].push_back(head);
  return true;
}

// Its whole pages to the end of its room, of which nothing is left; the rest is filled.
void ProgramHeap::close_or_fill(Head& head, std::byte* memory) noexcept {
  if (head.bytes <= kFilledMost || closed_ == kClosedMost) return fill(memory, head.bytes);
  std::byte* const end = reinterpret_cast<std::byte*>(&head + 1) + head.room;
  std::byte* const first = page_from(memory);
  std::byte* const last = page_from(end - kPageBytes + 1);
  const auto size = static_cast<std::size_t>(last - first);
  if (mprotect(first, size, PROT_NONE) != 0) return fill(memory, head.bytes);
  static_cast<void>(madvise(first, size, MADV_DONTNEED));   // it may keep them, closed
  head.closed = true;
  ++closed_;
  fill(memory, static_cast<std::size_t>(first - memory));
  fill(last, static_cast<std::size_t>(end - last));
}

bool ProgramHeap::open(Head& head) noexcept {
  std::byte* const room = reinterpret_cast<std::byte*>(&head + 1);
  std::byte* const first = page_from(room);
  const auto size = static_cast<std::size_t>(room + head.room - first) / kPageBytes * kPageBytes;
  if (mprotect(first, size, PROT_READ | PROT_WRITE) != 0) return false;
  head.closed = false;
  return true;
}

std::optional<std::size_t> ProgramHeap::given_back_at(const void* address) noexcept {
  const ProgramHeap* const heap = of(address);
  if (heap == nullptr) return std::nullopt;
  const auto* at = reinterpret_cast<const std::byte*>(heap->begin_);
  while (at < heap->next_) {
    const auto* const head = reinterpret_cast<const Head*>(at);
    at += sizeof(Head) + head->room;
    if (address >= at) continue;
    if (head->live.load(std::memory_order_relaxed)) return std::nullopt;
    return head->bytes;
  }
  return std::nullopt;
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
