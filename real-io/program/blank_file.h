// Files that `wavetankd run` makes blank. Nothing of a file is lost before it is locked, so that no
// server has it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include <tl/expected.hpp>

namespace wavetankd {

// Any byte but zero. A missing file holds nothing; the error, one line, is that this cannot be
// said.
[[nodiscard]] tl::expected<bool, std::string> holds_something(const std::string& path);

class BlankFile {
 public:
  // Opens a regular file, made when missing, and keeps others off it until destroyed. Changes no
  // file. The error is one line.
  [[nodiscard]] static tl::expected<BlankFile, std::string> lock(const std::string& path);
  // Removes a file that it made, unless it was used.
  ~BlankFile();
  BlankFile(BlankFile&& other) noexcept
      : path_{std::move(other.path_)}, fd_{std::exchange(other.fd_, -1)}, made_{other.made_} {}
  BlankFile& operator=(BlankFile&&) = delete;
  BlankFile(const BlankFile&) = delete;
  BlankFile& operator=(const BlankFile&) = delete;

  // `bytes` of zeroes.
  [[nodiscard]] tl::expected<void, std::string> make_blank(std::uint64_t bytes);

 private:
  BlankFile(std::string path, int fd) noexcept : path_{std::move(path)}, fd_{fd} {}
  std::string path_;
  int fd_;
  bool made_ = false;
};

}   // namespace wavetankd
