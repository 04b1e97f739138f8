// Programs under test take from their own heap what they take with new (program_heap.h).
//
// Weak: a program that has an operator new of its own goes on with that one, and a sanitizer's
// build has the sanitizer's. In one object file with link_operator_new(): who asks for that has all
// of it linked, by any linker, and nobody else.
#include "engine/base/sanitizers.h"
#include "sim/library/program_heap.h"

namespace sim {

void link_operator_new() noexcept {}

}   // namespace sim

#if !WAVETANK_ASAN && !WAVETANK_TSAN

#include <algorithm>
#include <cstdlib>
#include <new>

#include "sim/tanks_own_memory.h"

namespace {

// As the standard has it: who is out of memory asks the handler for more until there is none.
template <typename Take>
void* take(std::size_t bytes, std::size_t alignment, Take&& from_all) {
  if (sim::ProgramHeap* const heap = sim::t_program_heap) {
    if (void* const memory = heap->take(bytes, alignment)) return memory;
  }
  void* memory = from_all();
  while (memory == nullptr) {
    const std::new_handler handler = std::get_new_handler();
    if (handler == nullptr) throw std::bad_alloc{};
    handler();
    memory = from_all();
  }
  return memory;
}

void give_back(void* memory) noexcept {
  if (memory != nullptr && !sim::ProgramHeap::give_back(memory)) std::free(memory);
}

template <typename New>
void* or_null(New&& take_or_throw) noexcept {
  try {
    return take_or_throw();
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

}   // namespace

[[gnu::weak]] void* operator new(std::size_t bytes) {
  return take(bytes, 1, [bytes] { return std::malloc(std::max<std::size_t>(bytes, 1)); });
}
[[gnu::weak]] void* operator new(std::size_t bytes, std::align_val_t alignment) {
  const auto align = static_cast<std::size_t>(alignment);
  const std::size_t whole = (std::max<std::size_t>(bytes, 1) + align - 1) / align * align;
  return take(bytes, align,
              [=] { return whole < bytes ? nullptr : std::aligned_alloc(align, whole); });
}
[[gnu::weak]] void operator delete(void* memory) noexcept {
  give_back(memory);
}
[[gnu::weak]] void operator delete(void* memory, std::align_val_t /*alignment*/) noexcept {
  give_back(memory);
}
// The others by these four, whatever they are by now: as the standard has it, and all of them, so
// that no block goes from one library's new to another's delete.
[[gnu::weak]] void operator delete(void* memory, std::size_t /*bytes*/) noexcept {
  ::operator delete(memory);
}
[[gnu::weak]] void operator delete(void* memory, std::size_t /*bytes*/,
                                   std::align_val_t alignment) noexcept {
  ::operator delete(memory, alignment);
}
[[gnu::weak]] void* operator new[](std::size_t bytes) {
  return ::operator new(bytes);
}
[[gnu::weak]] void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return ::operator new(bytes, alignment);
}
[[gnu::weak]] void operator delete[](void* memory) noexcept {
  ::operator delete(memory);
}
[[gnu::weak]] void operator delete[](void* memory, std::size_t /*bytes*/) noexcept {
  ::operator delete[](memory);
}
[[gnu::weak]] void operator delete[](void* memory, std::align_val_t alignment) noexcept {
  ::operator delete(memory, alignment);
}
[[gnu::weak]] void operator delete[](void* memory, std::size_t /*bytes*/,
                                     std::align_val_t alignment) noexcept {
  ::operator delete[](memory, alignment);
}

// Those that do not throw.
[[gnu::weak]] void* operator new(std::size_t bytes, const std::nothrow_t& /*tag*/) noexcept {
  return or_null([=] { return ::operator new(bytes); });
}
[[gnu::weak]] void* operator new(std::size_t bytes, std::align_val_t alignment,
                                 const std::nothrow_t& /*tag*/) noexcept {
  return or_null([=] { return ::operator new(bytes, alignment); });
}
[[gnu::weak]] void* operator new[](std::size_t bytes, const std::nothrow_t& /*tag*/) noexcept {
  return or_null([=] { return ::operator new[](bytes); });
}
[[gnu::weak]] void* operator new[](std::size_t bytes, std::align_val_t alignment,
                                   const std::nothrow_t& /*tag*/) noexcept {
  return or_null([=] { return ::operator new[](bytes, alignment); });
}
[[gnu::weak]] void operator delete(void* memory, const std::nothrow_t& /*tag*/) noexcept {
  ::operator delete(memory);
}
[[gnu::weak]] void operator delete(void* memory, std::align_val_t alignment,
                                   const std::nothrow_t& /*tag*/) noexcept {
  ::operator delete(memory, alignment);
}
[[gnu::weak]] void operator delete[](void* memory, const std::nothrow_t& /*tag*/) noexcept {
  ::operator delete[](memory);
}
[[gnu::weak]] void operator delete[](void* memory, std::align_val_t alignment,
                                     const std::nothrow_t& /*tag*/) noexcept {
  ::operator delete[](memory, alignment);
}

#endif
