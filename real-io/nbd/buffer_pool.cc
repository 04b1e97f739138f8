#include "real-io/nbd/buffer_pool.h"

#include <bit>
#include <new>

#include "engine/base/check.h"
#include "engine/env/bio.h"

namespace real_io::nbd {

BufferPool::~BufferPool() {
  for (const auto& list : free_)
    for (std::byte* const data : list)
      ::operator delete(data, std::align_val_t{engine::kBufferAlign});
}

std::size_t BufferPool::class_of(std::size_t size) noexcept {
  const std::size_t pages = (size + kSmallest - 1) / kSmallest;
  return static_cast<std::size_t>(std::bit_width(std::bit_ceil(pages))) - 1;
}

BufferPool::Buffer BufferPool::take(std::size_t size) {
  const std::size_t number = size == 0 ? 0 : class_of(size);
  ENGINE_CHECK(number < kClasses, "a transfer buffer of {} bytes", size);
  const std::size_t class_size = kSmallest << number;
  auto& list = free_[number];
  if (!list.empty()) {
    std::byte* const data = list.back();
    list.pop_back();
    idle_bytes_ -= class_size;
    return {data, class_size};
  }
  auto* const data =
      static_cast<std::byte*>(::operator new(class_size, std::align_val_t{engine::kBufferAlign}));
  return {data, class_size};
}

void BufferPool::give_back(Buffer buffer) noexcept {
  if (idle_bytes_ + buffer.size > kKept) {
    ::operator delete(buffer.data, std::align_val_t{engine::kBufferAlign});
    return;
  }
  free_[class_of(buffer.size)].push_back(buffer.data);
  idle_bytes_ += buffer.size;
}

}   // namespace real_io::nbd
