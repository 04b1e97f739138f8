#include "real-io/file_handle.h"

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <system_error>
#include <thread>

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <fmt/format.h>

#include "engine/fiber/timer.h"

namespace real_io {
namespace {

std::string failure(const std::string& path, std::string_view what, int error) {
  return fmt::format("{}: {}: {}", path, what, std::generic_category().message(error));
}

// Opens with O_DIRECT, or without where the file system refuses.
int open_best(const std::string& path, int access, Caching& caching) {
  caching = Caching::direct;
  int fd = ::open(path.c_str(), access | O_DIRECT | O_CLOEXEC);
  if (fd < 0 && errno == EINVAL) {
    caching = Caching::buffered;
    fd = ::open(path.c_str(), access | O_CLOEXEC);
  }
  return fd;
}

// The smallest offset alignment that a direct read takes: asked of the kernel, else tried.
std::uint32_t direct_alignment(int fd, Caching& caching) {
#ifdef STATX_DIOALIGN
  struct statx facts{};
  if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &facts) == 0 &&
      (facts.stx_mask & STATX_DIOALIGN) != 0) {
    if (facts.stx_dio_offset_align == 0 || facts.stx_dio_mem_align > 4096) {
      caching = Caching::buffered;
      return 512;
    }
    return facts.stx_dio_offset_align < 512 ? 512 : facts.stx_dio_offset_align;
  }
#endif
  void* buffer = nullptr;
  if (posix_memalign(&buffer, 4096, 4096) != 0) return 4096;
  std::uint32_t align = 512;
  for (; align <= 4096; align *= 2)
    if (pread(fd, buffer, align, 0) >= 0 || errno != EINVAL) break;
  std::free(buffer);
  if (align <= 4096) return align;
  caching = Caching::buffered;
  return 512;
}

void sleep_on_thread(std::chrono::milliseconds delay) {
  std::this_thread::sleep_for(delay);
}
void sleep_on_fiber(std::chrono::milliseconds delay) {
  engine::sleep_for(delay);
}
using Sleep = void (*)(std::chrono::milliseconds);

// Does `attempt` until it succeeds or fails for another reason than somebody's having the file, or
// for too long. Once, without a `sleep`.
template <typename Attempt>
int with_patience(Sleep sleep, Attempt&& attempt) {
  using namespace std::chrono_literals;
  const auto until = std::chrono::steady_clock::now() + 3s;
  for (;;) {
    const int result = attempt();
    if (result >= 0 || (errno != EBUSY && errno != EWOULDBLOCK)) return result;
    const int error = errno;
    if (sleep == nullptr || std::chrono::steady_clock::now() >= until) {
      errno = error;
      return result;
    }
    sleep(10ms);
  }
}

std::uint64_t queue_value(const struct stat& status, const char* name) {
  for (const char* const up : {"", "/.."}) {
    std::ifstream file{fmt::format("/sys/dev/block/{}:{}{}/queue/{}", major(status.st_rdev),
                                   minor(status.st_rdev), up, name)};
    std::uint64_t value = 0;
    if (file >> value) return value;
  }
  return 0;
}

// To the byte. -1: errno says why it cannot be told.
std::int64_t size_of(int fd, FileKind kind) noexcept {
  if (kind == FileKind::block_device) {
    std::uint64_t bytes = 0;
    return ioctl(fd, BLKGETSIZE64, &bytes) == 0 ? static_cast<std::int64_t>(bytes) : -1;
  }
  struct stat status{};
  return fstat(fd, &status) == 0 ? status.st_size : -1;
}

std::uint64_t in_whole_blocks(std::int64_t bytes, const FileHandle::Facts& facts) noexcept {
  const auto size = static_cast<std::uint64_t>(bytes);
  return size - size % facts.logical_block_bytes;
}

// Asks for nothing (length beyond the end, keeping the size), so nothing changes whatever the
// answer. EOPNOTSUPP is the file system's word that it cannot.
bool fallocate_works(int fd, int mode, std::int64_t size) {
  if (size > INT64_MAX - 4096) return false;
  const off_t past_end = (size + 4095) / 4096 * 4096;
  return fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, past_end, 4096) == 0;
}

// 0 or an errno.
int lock_file(int fd, int operation, Sleep sleep) {
  return with_patience(sleep, [&] { return flock(fd, operation | LOCK_NB); }) == 0 ? 0 : errno;
}

}   // namespace

int lock_alone(int fd) {
  return lock_file(fd, LOCK_EX, &sleep_on_thread);
}

FileHandle::~FileHandle() {
  if (fd_ >= 0) close(fd_);
}

std::uint64_t FileHandle::size_bytes_now() const noexcept {
  const std::int64_t bytes = size_of(fd_, facts_.kind);
  return bytes < 0 ? 0 : in_whole_blocks(bytes, facts_);
}

tl::expected<FileHandle, std::string> FileHandle::open(const std::string& path, OpenMode mode,
                                                       WhenBusy when_busy) {
  struct stat status{};
  if (stat(path.c_str(), &status) != 0) return tl::unexpected{failure(path, "cannot open", errno)};
  if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
    return tl::unexpected{path + ": neither a regular file nor a block device"};
  const int access = (mode == OpenMode::read_write ? O_RDWR : O_RDONLY) |
                     (S_ISBLK(status.st_mode) && mode == OpenMode::read_write ? O_EXCL : 0);
  Sleep sleep = &sleep_on_thread;
  if (when_busy == WhenBusy::refuse) sleep = S_ISBLK(status.st_mode) ? &sleep_on_fiber : nullptr;
  Caching caching = Caching::direct;
  FileHandle file{path, with_patience(sleep, [&] { return open_best(path, access, caching); })};
  if (file.fd_ < 0) {
    const bool busy = errno == EBUSY;
    return tl::unexpected{failure(path, busy ? "in use" : "cannot open", errno)};
  }
  const int lock = mode == OpenMode::read_write ? LOCK_EX : LOCK_SH;
  if (const int error = lock_file(file.fd_, lock, sleep); error != 0)
    return tl::unexpected{error == EWOULDBLOCK ? path + ": in use by another device or process"
                                               : failure(path, "cannot lock", error)};
  Facts& facts = file.facts_;
  if (caching == Caching::direct) facts.logical_block_bytes = direct_alignment(file.fd_, caching);
  if (caching == Caching::buffered) fcntl(file.fd_, F_SETFL, fcntl(file.fd_, F_GETFL) & ~O_DIRECT);
  facts.caching = caching;
  facts.kind = S_ISBLK(status.st_mode) ? FileKind::block_device : FileKind::regular;
  const std::int64_t size = size_of(file.fd_, facts.kind);
  if (size < 0) return tl::unexpected{failure(path, "cannot read the size", errno)};
  if (facts.kind == FileKind::block_device) {
    int logical = 512;
    if (ioctl(file.fd_, BLKSSZGET, &logical) != 0)
      return tl::unexpected{failure(path, "cannot read the block size", errno)};
    facts.logical_block_bytes = static_cast<std::uint32_t>(logical);
    facts.discard_granularity_bytes =
        static_cast<std::uint32_t>(queue_value(status, "discard_granularity"));
    facts.discards = queue_value(status, "discard_max_bytes") != 0;
    facts.zero_ranges = queue_value(status, "write_zeroes_max_bytes") != 0;
  } else {
    facts.discard_granularity_bytes = static_cast<std::uint32_t>(status.st_blksize);
    if (mode == OpenMode::read_write) {
      facts.discards = fallocate_works(file.fd_, FALLOC_FL_PUNCH_HOLE, size);
      // ZERO_RANGE past the end would allocate: learned from the first use instead.
      facts.zero_ranges = facts.discards;
    }
  }
  facts.size_bytes = in_whole_blocks(size, facts);
  if (facts.size_bytes == 0) return tl::unexpected{path + ": holds not even one sector"};
  return file;
}

}   // namespace real_io
