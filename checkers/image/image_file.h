// A metadata image in a file or on a block device, opened read-only. Reads near one another come
// in windows of many blocks, so that walking a large pool is not one system call a block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "checkers/image/block_source.h"

namespace checkers::image {

class ImageFile final : public BlockSource {
 public:
  struct Opened {
    std::unique_ptr<ImageFile> image;   // null when it could not be opened
    std::string error;                  // then: one line that says why
  };
  [[nodiscard]] static Opened open(const std::string& path);

  ImageFile(const ImageFile&) = delete;
  ImageFile& operator=(const ImageFile&) = delete;
  ~ImageFile() override;

  [[nodiscard]] bool read(std::uint64_t block, BlockBytes out) override;
  [[nodiscard]] std::uint64_t nr_blocks() const override { return nr_blocks_; }

 private:
  ImageFile(int fd, std::uint64_t nr_blocks);
  [[nodiscard]] bool fill_window(std::uint64_t first, std::uint64_t count);

  int fd_;
  std::uint64_t nr_blocks_;
  std::uint64_t window_first_{0};
  std::uint64_t window_count_{0};
  std::uint64_t last_block_{~std::uint64_t{0}};
  std::vector<std::byte> window_;
};

}   // namespace checkers::image
