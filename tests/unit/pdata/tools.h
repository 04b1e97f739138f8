// Images as files, and the tools of thin-provisioning run on them.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <span>
#include <sstream>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/unit/pdata/meta_tank.h"

namespace engine::pdata {

// A folder of its own, gone with the test.
class Folder {
 public:
  Folder() {
    std::string pattern = ::testing::TempDir() + "metadata.XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::string operator/(const char* name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline void write_image(const sim::DiskImage& image, const std::string& path) {
  std::ofstream out{path, std::ios::binary};
  for (std::uint64_t b = 0; b < image.sectors() / kMetaBlockSectors; ++b) {
    const auto bytes = block_bytes(image, b);
    out.write(reinterpret_cast<const char*>(bytes.data()),
              static_cast<std::streamsize>(bytes.size()));
  }
}
inline sim::DiskImageRef read_image(const std::string& path) {
  std::ifstream in{path, std::ios::binary};
  std::stringstream text;
  text << in.rdbuf();
  const std::string bytes = text.str();
  auto image = std::make_shared<sim::DiskImage>(bytes.size() / kSectorSize);
  image->write(Sector{0}, std::as_bytes(std::span{bytes}));
  return image;
}
inline int run(const std::string& command) {
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
inline std::string text_of(const std::string& path) {
  std::ifstream in{path};
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

#define NEEDS_TOOL(tool)                                                \
  if (::engine::pdata::run("command -v " tool " >/dev/null 2>&1") != 0) \
  GTEST_SKIP() << "no " tool " here"

}   // namespace engine::pdata
