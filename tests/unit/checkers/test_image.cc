#include "tests/unit/checkers/test_image.h"

#include <array>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <unistd.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace checkers::image::test {
namespace {

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit)
      crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U);
    table[i] = crc;
  }
  return table;
}
constexpr auto kTable = make_table();

// A folder of this process's own, emptied when it ends.
class Scratch {
 public:
  Scratch()
      : path_{std::filesystem::temp_directory_path() /
              fmt::format("checkers-test-{}", ::getpid())} {
    std::filesystem::create_directories(path_);
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::string file(const char* name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

std::string slurp(const std::string& path) {
  std::ifstream in{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

}   // namespace

std::uint32_t crc32c_uninverted(std::span<const std::byte> bytes) {
  std::uint32_t crc = 0xffffffffU;
  for (const std::byte byte : bytes) {
    crc = (crc >> 8) ^ kTable[(crc ^ std::to_integer<std::uint32_t>(byte)) & 0xff];
  }
  return crc;
}

std::uint32_t TestImage::get32(std::uint64_t block, std::size_t at) const {
  std::uint32_t value = 0;
  std::memcpy(&value, bytes_.data() + block * kImageBlockSize + at, sizeof value);
  return value;
}
std::uint64_t TestImage::get64(std::uint64_t block, std::size_t at) const {
  std::uint64_t value = 0;
  std::memcpy(&value, bytes_.data() + block * kImageBlockSize + at, sizeof value);
  return value;
}
TestImage& TestImage::put32(std::uint64_t number, std::size_t at, std::uint32_t value) {
  std::memcpy(block(number).subspan(at).data(), &value, sizeof value);
  return *this;
}
TestImage& TestImage::put64(std::uint64_t number, std::size_t at, std::uint64_t value) {
  std::memcpy(block(number).subspan(at).data(), &value, sizeof value);
  return *this;
}
TestImage& TestImage::put_hex(std::uint64_t number, std::size_t at, const std::string& digits) {
  int high = -1;
  for (const char c : digits) {
    if (std::isxdigit(static_cast<unsigned char>(c)) == 0) continue;
    const int nibble = c <= '9' ? c - '0' : c - 'a' + 10;
    if (high < 0) {
      high = nibble;
    } else {
      block(number)[at++] = static_cast<std::byte>(high * 16 + nibble);
      high = -1;
    }
  }
  return *this;
}

std::uint32_t TestImage::salt(std::uint64_t block) const {
  const std::uint32_t crc = crc32c_uninverted(
      std::span{bytes_}.subspan(block * kImageBlockSize + 4, kImageBlockSize - 4));
  const std::uint32_t salt = get32(block, 0) ^ crc;
  for (const std::uint32_t ours : {kSuperSalt, kNodeSalt, kIndexSalt, kBitmapSalt}) {
    if (salt == ours) return salt;
  }
  return 0;
}

TestImage& TestImage::seal(std::uint64_t number, std::uint32_t salt) {
  return put32(number, 0, crc32c_uninverted(block(number).subspan(4)) ^ salt);
}

TestImage& TestImage::set_pair(std::uint64_t bitmap, std::uint64_t index, unsigned count) {
  return change(bitmap, [&](TestImage& image) {
    std::byte& byte = image.block(bitmap)[16 + index / 4];
    const auto shift = static_cast<int>(2 * (index % 4));
    const unsigned pair = (count >> 1U) | ((count & 1U) << 1U);
    byte &= ~(std::byte{3} << shift);
    byte |= static_cast<std::byte>(pair) << shift;
  });
}

void TestImage::save(const std::string& path) const {
  std::ofstream out{path, std::ios::binary};
  out.write(reinterpret_cast<const char*>(bytes_.data()),
            static_cast<std::streamsize>(bytes_.size()));
}

ThinReport check(const TestImage& image, const CheckOptions& options) {
  SpanSource source{image.bytes()};
  return check_thin(source, options);
}

std::string text_of(const ThinReport& report) {
  std::string text;
  for (const Finding& finding : report.findings.kept())
    text += to_text(finding) + "\n";
  return text;
}

bool has(const ThinReport& report, Rule rule, Severity severity) {
  for (const Finding& finding : report.findings.kept()) {
    if (finding.rule == rule && finding.severity == severity) return true;
  }
  return false;
}

TestImage worked_example() {
  TestImage image{1024};
  image.put_hex(0, 32, "ba529c0100000000 02000000 01000000 2a00000000000000")
      .put_hex(0, 64, "c800000000000000 0300000000000000 2800000000000000 0500000000000000")
      .put_hex(0, 192, "0004000000000000 0b00000000000000 2900000000000000 0200000000000000")
      .put_hex(0, 320, "2500000000000000 2700000000000000 80000000 08000000 0004000000000000")
      // Whatever the kernel's memory held lies in the padding of the map roots.
      .put_hex(0, 100, "deadbeef5a5a")
      .put_hex(0, 240, "0badcafe")
      .seal(0, kSuperSalt);
  for (const std::uint64_t block : {2U, 5U}) {   // both overflow trees, empty
    image.put32(block, 4, 2).put64(block, 8, block).put32(block, 20, 336).put32(block, 24, 4);
    image.seal(block, kNodeSalt);
  }
  image
      .put_hex(38, 0,
               "0a975ed1 02000000 2600000000000000 02000000 fc000000 08000000 00000000 "
               "0500000000000000 0900000000000000")
      .put_hex(38, 2048, "0100000200000000 0000000100000000");
  image
      .put_hex(27, 0,
               "022f208d 02000000 1b00000000000000 02000000 fc000000 08000000 00000000 "
               "0500000000000000 0900000000000000")
      .put_hex(27, 2048, "0000000000000000 0000000100000000");
  image
      .put_hex(37, 0,
               "efee50a8 02000000 2500000000000000 02000000 fc000000 08000000 00000000 "
               "0700000000000000 0800000000000000")
      .put_hex(37, 2048, "2600000000000000 1b00000000000000");
  image
      .put_hex(39, 0,
               "7258be9d 02000000 2700000000000000 02000000 7e000000 18000000 00000000 "
               "0700000000000000 0800000000000000")
      .put_hex(39, 1040, "0200000000000000 0000000000000000 00000000 01000000")
      .put_hex(39, 1064, "0200000000000000 0000000000000000 01000000 01000000");
  image.put_hex(35, 0, "2503888f 00000000 2300000000000000 26");
  image.put_hex(40, 4, "02000000 2800000000000000 01000000 a8000000 10000000 00000000")
      .put_hex(40, 1376, "2300000000000000 bd3f0000 03000000")
      .seal(40, kNodeSalt);
  image.put_hex(36, 0, "32c6942f 00000000 2400000000000000 22080000000080 0080aa0a");
  image.put_hex(41, 0, "1e0c49b0 00000000 2900000000000000 2400000000000000 b53f0000 01000000");
  return image;
}

bool have_thin_tools() {
  return std::system("command -v thin_restore >/dev/null && command -v thin_dump >/dev/null") == 0;
}

TestImage restore(const std::string& xml, std::uint64_t nr_blocks) {
  const Scratch scratch;
  const std::string in = scratch.file("in.xml");
  const std::string out = scratch.file("out.img");
  std::ofstream{in} << xml;
  TestImage{nr_blocks}.save(out);
  const std::string command = fmt::format("thin_restore -q -i {} -o {} >/dev/null", in, out);
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
  const std::string bytes = slurp(out);
  std::vector<std::byte> image(bytes.size());
  std::memcpy(image.data(), bytes.data(), bytes.size());
  return TestImage{std::move(image)};
}

std::string thin_dump(const TestImage& image) {
  const Scratch scratch;
  const std::string in = scratch.file("dump.img");
  const std::string out = scratch.file("dump.xml");
  image.save(in);
  const std::string command = fmt::format("thin_dump {} > {}", in, out);
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
  return slurp(out);
}

}   // namespace checkers::image::test
