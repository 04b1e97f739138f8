// Freed memory is filled, so that whoever uses it goes wrong at once, and in the same way each
// time: a lifetime that schedules break shows without a sanitizer. (Those have better means.)
#include "engine/base/sanitizers.h"

#if !WAVETANK_ASAN && !WAVETANK_TSAN

#include <cstdlib>
#include <cstring>
#include <new>

#include <malloc.h>

#include "engine/base/bytes.h"

namespace {

void poison_and_free(void* memory) noexcept {
  if (memory == nullptr) return;
  std::memset(memory, std::to_integer<int>(engine::kPoisonByte), malloc_usable_size(memory));
  asm volatile("" : : "r"(memory) : "memory");   // the bytes count, whatever the compiler thinks
  std::free(memory);
}

}   // namespace

void operator delete(void* memory) noexcept {
  poison_and_free(memory);
}
void operator delete(void* memory, std::size_t /*size*/) noexcept {
  poison_and_free(memory);
}
void operator delete(void* memory, std::align_val_t /*alignment*/) noexcept {
  poison_and_free(memory);
}
void operator delete(void* memory, std::size_t /*size*/, std::align_val_t /*alignment*/) noexcept {
  poison_and_free(memory);
}

#endif
