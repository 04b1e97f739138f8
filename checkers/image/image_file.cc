#include "checkers/image/image_file.h"

#include <cerrno>
#include <cstring>
#include <system_error>

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

namespace checkers::image {
namespace {

constexpr std::uint64_t kWindowBlocks = 64;
constexpr std::uint64_t kNear = 128;   // a jump of fewer blocks counts as walking on

bool read_fully(int fd, std::byte* out, std::size_t size, std::uint64_t offset) {
  while (size > 0) {
    const ssize_t got = ::pread(fd, out, size, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    out += got;
    size -= static_cast<std::size_t>(got);
    offset += static_cast<std::uint64_t>(got);
  }
  return true;
}

}   // namespace

ImageFile::ImageFile(int fd, std::uint64_t nr_blocks)
    : fd_{fd}, nr_blocks_{nr_blocks}, window_(kWindowBlocks * kImageBlockSize) {}

ImageFile::~ImageFile() {
  ::close(fd_);
}

ImageFile::Opened ImageFile::open(const std::string& path) {
  // Not to wait for somebody to open the other end of a FIFO, which is refused below.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return {nullptr, fmt::format("{}: {}", path, std::generic_category().message(errno))};
  struct stat status{};
  std::uint64_t bytes = 0;
  std::string error;
  if (::fstat(fd, &status) != 0) {
    error = fmt::format("{}: {}", path, std::generic_category().message(errno));
  } else if (S_ISREG(status.st_mode)) {
    bytes = static_cast<std::uint64_t>(status.st_size);
  } else if (S_ISBLK(status.st_mode)) {
    if (::ioctl(fd, BLKGETSIZE64, &bytes) != 0) {
      error =
          fmt::format("{}: cannot tell its size: {}", path, std::generic_category().message(errno));
    }
  } else {
    error = fmt::format("{}: neither a file nor a block device", path);
  }
  if (error.empty() && bytes < kImageBlockSize) {
    error = fmt::format("{}: {} bytes are too few to hold a metadata block", path, bytes);
  }
  if (!error.empty()) {
    ::close(fd);
    return {nullptr, error};
  }
  std::unique_ptr<ImageFile> file{new ImageFile{fd, bytes / kImageBlockSize}};
  return {std::move(file), {}};
}

bool ImageFile::fill_window(std::uint64_t first, std::uint64_t count) {
  if (count > nr_blocks_ - first) count = nr_blocks_ - first;
  window_count_ = 0;
  if (!read_fully(fd_, window_.data(), count * kImageBlockSize, first * kImageBlockSize)) {
    return false;
  }
  window_first_ = first;
  window_count_ = count;
  return true;
}

bool ImageFile::read(std::uint64_t block, BlockBytes out) {
  if (block >= nr_blocks_) return false;
  const bool in_window = block >= window_first_ && block - window_first_ < window_count_;
  if (!in_window) {
    // After a far jump one block is read; a neighbour asked for next brings the whole window.
    const bool near = block + kNear > last_block_ && block < last_block_ + kNear;
    // A window with a bad sector in it still gives its good blocks, one by one.
    const bool whole = near && fill_window(block, kWindowBlocks);
    if (!whole && !fill_window(block, 1)) return false;
  }
  last_block_ = block;
  std::memcpy(out.data(), window_.data() + (block - window_first_) * kImageBlockSize, out.size());
  return true;
}

}   // namespace checkers::image
