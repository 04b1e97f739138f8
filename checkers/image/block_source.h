// Where a checker gets an image from: 4096-byte blocks by number, never written. A real image is an
// ImageFile; a simulator gives its disk through an implementation of its own, or a SpanSource.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace checkers::image {

inline constexpr std::size_t kImageBlockSize = 4096;
using BlockBytes = std::span<std::byte, kImageBlockSize>;

class BlockSource {
 public:
  virtual ~BlockSource() = default;

  // False when the block lies outside or cannot be read; `out` is then unspecified.
  [[nodiscard]] virtual bool read(std::uint64_t block, BlockBytes out) = 0;

  [[nodiscard]] virtual std::uint64_t nr_blocks() const = 0;

  // The block in place, for sources that hold it in memory and leave it there unchanged while a
  // checker runs; nullptr where read() must be used. Asked only for blocks below nr_blocks().
  [[nodiscard]] virtual const std::byte* peek(std::uint64_t /*block*/) { return nullptr; }
};

// A contiguous image in memory; a partial last block is not part of it.
class SpanSource final : public BlockSource {
 public:
  explicit SpanSource(std::span<const std::byte> bytes) : bytes_{bytes} {}

  [[nodiscard]] bool read(std::uint64_t block, BlockBytes out) override {
    if (block >= nr_blocks()) return false;
    std::memcpy(out.data(), peek(block), out.size());
    return true;
  }
  [[nodiscard]] std::uint64_t nr_blocks() const override { return bytes_.size() / kImageBlockSize; }
  [[nodiscard]] const std::byte* peek(std::uint64_t block) override {
    return bytes_.data() + block * kImageBlockSize;
  }

 private:
  std::span<const std::byte> bytes_;
};

}   // namespace checkers::image
