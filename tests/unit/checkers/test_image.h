// A metadata image in memory, for tests that make one and then spoil it: reads and writes of
// fields, and checksums put right again by an implementation of their own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "checkers/image/block_source.h"
#include "checkers/image/thin_check.h"

namespace checkers::image::test {

inline constexpr std::uint32_t kSuperSalt = 0x27406;
inline constexpr std::uint32_t kNodeSalt = 0x1d913;
inline constexpr std::uint32_t kIndexSalt = 0x272de;
inline constexpr std::uint32_t kBitmapSalt = 0x3ac8b;

// CRC-32C with the register preset to ones and not inverted at the end, a table of bytes.
[[nodiscard]] std::uint32_t crc32c_uninverted(std::span<const std::byte> bytes);

class TestImage {
 public:
  explicit TestImage(std::uint64_t nr_blocks) : bytes_(nr_blocks * kImageBlockSize) {}
  explicit TestImage(std::vector<std::byte> bytes) : bytes_{std::move(bytes)} {}

  [[nodiscard]] std::uint64_t nr_blocks() const { return bytes_.size() / kImageBlockSize; }
  [[nodiscard]] const std::vector<std::byte>& bytes() const { return bytes_; }
  [[nodiscard]] std::span<std::byte> block(std::uint64_t number) {
    return std::span{bytes_}.subspan(number * kImageBlockSize, kImageBlockSize);
  }
  [[nodiscard]] std::uint32_t get32(std::uint64_t block, std::size_t at) const;
  [[nodiscard]] std::uint64_t get64(std::uint64_t block, std::size_t at) const;
  TestImage& put32(std::uint64_t block, std::size_t at, std::uint32_t value);
  TestImage& put64(std::uint64_t block, std::size_t at, std::uint64_t value);
  // Bytes as hexadecimal digits, with blanks wherever.
  TestImage& put_hex(std::uint64_t block, std::size_t at, const std::string& digits);

  // The salt that the block's checksum was made with; 0 when with none of ours.
  [[nodiscard]] std::uint32_t salt(std::uint64_t block) const;
  TestImage& seal(std::uint64_t block, std::uint32_t salt);   // checksum only
  // Puts the checksum right after a change, for a block whose salt was taken before it.
  template <typename Change>
  TestImage& change(std::uint64_t block, Change&& change) {
    const std::uint32_t with = salt(block);
    change(*this);
    return seal(block, with);
  }
  TestImage& set32(std::uint64_t block, std::size_t at, std::uint32_t value) {
    return change(block, [&](TestImage& image) { image.put32(block, at, value); });
  }
  TestImage& set64(std::uint64_t block, std::size_t at, std::uint64_t value) {
    return change(block, [&](TestImage& image) { image.put64(block, at, value); });
  }
  // Sets a block's reference count in a bitmap block, to 0..2 or 3 for "see overflow".
  TestImage& set_pair(std::uint64_t bitmap, std::uint64_t index, unsigned count);

  void grow(std::uint64_t nr_blocks) { bytes_.resize(nr_blocks * kImageBlockSize); }
  void save(const std::string& path) const;

 private:
  std::vector<std::byte> bytes_;
};

[[nodiscard]] ThinReport check(const TestImage& image, const CheckOptions& options = {});
// All findings as text, for messages.
[[nodiscard]] std::string text_of(const ThinReport& report);
[[nodiscard]] bool has(const ThinReport& report, Rule rule, Severity severity);

// The pool of the format's worked example, as a kernel wrote it: 1024 metadata blocks, 200 data
// blocks, device 7 and its snapshot 8 with one block rewritten since.
[[nodiscard]] TestImage worked_example();

// Runs thin_restore on `xml` into an image of so many blocks; nothing if the tool is missing.
[[nodiscard]] bool have_thin_tools();
[[nodiscard]] TestImage restore(const std::string& xml, std::uint64_t nr_blocks);
// What thin_dump prints of the image.
[[nodiscard]] std::string thin_dump(const TestImage& image);

}   // namespace checkers::image::test
