// Transfer buffers of one reactor, by powers of two from 4 KiB to 32 MiB, aligned for direct I/O.
// Contents are not cleared: whoever takes one fills what it sends. Not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

namespace real_io::nbd {

class BufferPool {
 public:
  struct Buffer {
    std::byte* data = nullptr;
    std::size_t size = 0;   // of its class; at least what was asked for
  };

  BufferPool() = default;
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  [[nodiscard]] Buffer take(std::size_t size);
  void give_back(Buffer buffer) noexcept;

 private:
  static constexpr std::size_t kSmallest = 4096;
  static constexpr std::size_t kClasses = 14;                   // up to 32 MiB
  static constexpr std::size_t kKept = std::size_t{64} << 20;   // idle bytes kept
  static std::size_t class_of(std::size_t size) noexcept;

  std::array<std::vector<std::byte*>, kClasses> free_;
  std::size_t idle_bytes_ = 0;
};

}   // namespace real_io::nbd
