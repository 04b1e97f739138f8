// What the tests of real-io share: an executor, and files that vanish with the test.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>

#include <fcntl.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "real-io/uring_executor.h"

namespace real_io {

class RealIoTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const int error = Ring::available(); error != 0)
      GTEST_SKIP() << "no io_uring here: errno " << error;
  }
};

class TemporaryFile {
 public:
  explicit TemporaryFile(std::uint64_t size) : path_{"./real_io_test_XXXXXX"} {
    const int fd = mkstemp(path_.data());
    EXPECT_GE(fd, 0);
    EXPECT_EQ(ftruncate(fd, static_cast<off_t>(size)), 0);
    close(fd);
  }
  ~TemporaryFile() { unlink(path_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

}   // namespace real_io
