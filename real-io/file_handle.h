// Opening what a device lives on: a regular file or a block device, its size, its alignment and how
// it is told to forget a range. Refuses with one line that names the path and the reason, and
// changes nothing.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include <tl/expected.hpp>

namespace real_io {

enum class FileKind : std::uint8_t { regular, block_device };
enum class Caching : std::uint8_t { direct, buffered };
enum class OpenMode : bool { read_only, read_write };
// What to do about a file that somebody else has. The kernel lets go of a killed process's files a
// moment after the process is gone, when its rings have wound up: a server that is restarted must
// not trip over its own remains. And a ring of ours keeps a block device for a moment after it was
// closed.
enum class WhenBusy : std::uint8_t {
  wait_on_thread,   // for up to 3 s, with the calling thread asleep
  // At once for files; for block devices as long, with the calling fiber asleep. Worker context.
  refuse,
};

// The lock that a device opened for writing has on its file. 0 or an errno; EWOULDBLOCK: somebody
// has the file.
[[nodiscard]] int lock_alone(int fd);

class FileHandle {
 public:
  struct Facts {
    std::uint64_t size_bytes = 0;
    std::uint32_t logical_block_bytes = 512;
    std::uint32_t discard_granularity_bytes = 4096;
    FileKind kind = FileKind::regular;
    Caching caching = Caching::direct;
    bool discards = false;
    bool zero_ranges = false;   // the file system has FALLOC_FL_ZERO_RANGE
  };

  // Takes a lock that keeps other processes of ours, and other devices of this one, off the file.
  [[nodiscard]] static tl::expected<FileHandle, std::string> open(
      const std::string& path, OpenMode mode, WhenBusy when_busy = WhenBusy::wait_on_thread);
  ~FileHandle();
  FileHandle(FileHandle&& other) noexcept
      : path_{std::move(other.path_)}, facts_{other.facts_}, fd_{std::exchange(other.fd_, -1)} {}
  FileHandle& operator=(FileHandle&&) = delete;
  FileHandle(const FileHandle&) = delete;
  FileHandle& operator=(const FileHandle&) = delete;

  [[nodiscard]] int fd() const noexcept { return fd_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] const Facts& facts() const noexcept { return facts_; }
  // In whole logical blocks, as of now; others may make it longer or shorter at any time. 0 where
  // it cannot be told.
  [[nodiscard]] std::uint64_t size_bytes_now() const noexcept;

 private:
  FileHandle(std::string path, int fd) noexcept : path_{std::move(path)}, fd_{fd} {}
  std::string path_;
  Facts facts_;
  int fd_;
};

}   // namespace real_io
