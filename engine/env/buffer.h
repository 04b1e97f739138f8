// Memory that a device can transfer to and from directly.
#pragma once

#include <cstddef>
#include <cstring>
#include <new>
#include <utility>

#include "engine/base/bytes.h"
#include "engine/env/bio.h"

namespace engine {

// Owns zeroed bytes aligned to kBufferAlign; movable, not copyable.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t size)
      : data_{static_cast<std::byte*>(::operator new(size, std::align_val_t{kBufferAlign}))},
        size_{size} {
    std::memset(data_, 0, size_);
  }
  ~AlignedBuffer() { release(); }
  AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_{std::exchange(other.data_, nullptr)}, size_{std::exchange(other.size_, 0)} {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    if (this != &other) {
      release();
      data_ = std::exchange(other.data_, nullptr);
      size_ = std::exchange(other.size_, 0);
    }
    return *this;
  }
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;

  [[nodiscard]] std::byte* data() noexcept { return data_; }
  [[nodiscard]] const std::byte* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] MutableBytes bytes() noexcept { return {data_, size_}; }
  [[nodiscard]] ConstBytes bytes() const noexcept { return {data_, size_}; }

 private:
  void release() noexcept {
    if (data_ != nullptr) ::operator delete(data_, std::align_val_t{kBufferAlign});
  }
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}   // namespace engine
