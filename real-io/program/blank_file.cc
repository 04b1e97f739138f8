#include "real-io/program/blank_file.h"

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "real-io/file_handle.h"

namespace wavetankd {
namespace {

using Trouble = tl::unexpected<std::string>;

Trouble trouble(const std::string& path, std::string_view what, int error) {
  return Trouble{fmt::format("{}: {}: {}", path, what, std::generic_category().message(error))};
}

class Descriptor {
 public:
  explicit Descriptor(int fd) noexcept : fd_{fd} {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  const int fd_;
};

// What is no regular file is not even opened: that may block, or do something.
tl::expected<bool, std::string> there(const std::string& path) {
  struct stat status{};
  if (stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return false;
    return trouble(path, "cannot open", errno);
  }
  if (!S_ISREG(status.st_mode)) return Trouble{path + ": not a regular file"};
  return true;
}

}   // namespace

tl::expected<bool, std::string> holds_something(const std::string& path) {
  const auto found = there(path);
  if (!found || !*found) return found;
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.get() < 0) return trouble(path, "cannot open", errno);
  std::vector<char> bytes(1 << 20);
  off_t offset = 0;
  for (;;) {
    const off_t data = lseek(file.get(), offset, SEEK_DATA);
    if (data >= 0)
      offset = data;
    else if (errno == ENXIO)
      return false;   // a hole up to the end
    else if (errno != EINVAL)
      return trouble(path, "cannot read", errno);
    const ssize_t got = pread(file.get(), bytes.data(), bytes.size(), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return trouble(path, "cannot read", errno);
    if (got == 0) return false;
    if (std::any_of(bytes.begin(), bytes.begin() + got, [](char byte) { return byte != 0; }))
      return true;
    offset += got;
  }
}

tl::expected<BlankFile, std::string> BlankFile::lock(const std::string& path) {
  const auto found = there(path);
  if (!found) return Trouble{found.error()};
  const int create = *found ? 0 : O_CREAT | O_EXCL;
  BlankFile file{path, open(path.c_str(), O_RDWR | O_CLOEXEC | create, 0600)};
  if (file.fd_ < 0) return trouble(path, "cannot open", errno);
  file.made_ = !*found;
  if (const int error = real_io::lock_alone(file.fd_); error != 0)
    return error == EWOULDBLOCK ? Trouble{path + ": in use by another device or process"}
                                : trouble(path, "cannot lock", error);
  return file;
}

BlankFile::~BlankFile() {
  if (fd_ < 0) return;
  if (made_) unlink(path_.c_str());
  close(fd_);
}

tl::expected<void, std::string> BlankFile::make_blank(std::uint64_t bytes) {
  if (ftruncate(fd_, 0) != 0 || ftruncate(fd_, static_cast<off_t>(bytes)) != 0)
    return trouble(path_, "cannot make a blank file", errno);
  made_ = false;
  return {};
}

}   // namespace wavetankd
