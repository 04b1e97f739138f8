// Against the tools of thin-provisioning: what we write they accept, what they write we open.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/unit/thin/metadata_tank.h"

namespace engine::thin {
namespace {

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

void write_image(const sim::DiskImage& image, const std::string& path) {
  std::ofstream out{path, std::ios::binary};
  for (std::uint64_t b = 0; b < image.sectors() / kMetaBlockSectors; ++b) {
    const auto bytes = pdata::block_bytes(image, b);
    out.write(reinterpret_cast<const char*>(bytes.data()),
              static_cast<std::streamsize>(bytes.size()));
  }
}
sim::DiskImageRef read_image(const std::string& path) {
  std::ifstream in{path, std::ios::binary};
  std::stringstream text;
  text << in.rdbuf();
  const std::string bytes = text.str();
  auto image = std::make_shared<sim::DiskImage>(bytes.size() / kSectorSize);
  image->write(Sector{0}, std::as_bytes(std::span{bytes}));
  return image;
}
int run(const std::string& command) {
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
std::string text_of(const std::string& path) {
  std::ifstream in{path};
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

#define NEEDS_TOOLS() \
  if (run("command -v thin_check >/dev/null 2>&1") != 0) GTEST_SKIP() << "no thin_check here"

void expect_tools_agree(const sim::DiskImage& image) {
  const Folder folder;
  write_image(image, folder / "image");
  EXPECT_EQ(run("thin_check -q " + (folder / "image") + " >" + (folder / "out") + " 2>&1"), 0)
      << text_of(folder / "out");
  ASSERT_EQ(run("thin_dump " + (folder / "image") + " >" + (folder / "xml")), 0);
  EXPECT_EQ(text_of(folder / "xml"), xml_of(image));
  EXPECT_EQ(faults_of(image), "");
}

TEST(MetadataTools, AcceptWhatWeWrite) {
  NEEDS_TOOLS();
  expect_tools_agree(*with_metadata({.blocks = 1024}, small_options(), [](Metadata&) {}));
  expect_tools_agree(*with_metadata({.blocks = 1024}, small_options(), example_history));
}

// Many mappings, deep trees, high counts, holes.
void busy_history(Metadata& metadata) {
  must(metadata.resize_data(40000));
  must(metadata.create_thin(ThinId{0}));
  OpenThin* const origin = must(metadata.open_device(ThinId{0}));
  for (std::uint64_t i = 0; i < 3000; ++i)
    must(provision(metadata, *origin, i * 7919 % 20011));
  for (std::uint32_t id = 1; id <= 5; ++id) {
    must(metadata.commit());
    must(metadata.create_snap(ThinId{id}, ThinId{0}));
    for (std::uint64_t i = 0; i < 100; ++i)
      must(provision(metadata, *origin, i * id * 31 % 20011));
    must(metadata.remove_range(*origin, VirtBlock{id * 3000}, VirtBlock{id * 3000 + 500}));
  }
  metadata.close_device(*origin);
  must(metadata.delete_device(ThinId{3}));
  OpenThin* const snap = must(metadata.open_device(ThinId{1}));
  must(metadata.remove_range(*snap, VirtBlock{1000}, VirtBlock{19000}));
  metadata.close_device(*snap);
  must(metadata.set_transaction_id(0, 99));
}

TEST(MetadataTools, AcceptABusyPool) {
  NEEDS_TOOLS();
  expect_tools_agree(*with_metadata({.blocks = 2048}, small_options(), busy_history));
  expect_tools_agree(*with_metadata({.blocks = 8192}, small_options(6), busy_history));
}

TEST(MetadataTools, WhatTheyRestoreWeOpenAndChange) {
  NEEDS_TOOLS();
  const Folder folder;
  const auto made = with_metadata({.blocks = 2048}, small_options(), busy_history);
  std::ofstream{folder / "xml"} << xml_of(*made);
  write_image(sim::DiskImage{2048 * kMetaBlockSectors}, folder / "image");
  ASSERT_EQ(
      run("thin_restore -i " + (folder / "xml") + " -o " + (folder / "image") + " >/dev/null"), 0);
  const sim::DiskImageRef image = read_image(folder / "image");
  ASSERT_EQ(xml_of(*image), xml_of(*made));
  const auto after = with_metadata(image, [&](Metadata& metadata) {
    for (const auto& device : dump_of(*made).devices) {
      OpenThin* const thin =
          must(metadata.open_device(ThinId{static_cast<std::uint32_t>(device.details.id)}));
      EXPECT_EQ(must(metadata.mapped_count(*thin)), device.mappings.size());
      for (const auto& mapping : device.mappings) {
        EXPECT_EQ(must(metadata.lookup(*thin, VirtBlock{mapping.virtual_block})),
                  (Mapping{DataBlock{mapping.data_block},
                           mapping.time < device.details.snapshotted_time}));
      }
      metadata.close_device(*thin);
    }
    OpenThin* const thin = must(metadata.open_device(ThinId{2}));
    for (std::uint64_t i = 0; i < 2000; ++i)
      must(provision(metadata, *thin, i * 3));
    must(metadata.remove_range(*thin, VirtBlock{0}, VirtBlock{900}));
    metadata.close_device(*thin);
    must(metadata.create_snap(ThinId{11}, ThinId{2}));
    must(metadata.delete_device(ThinId{0}));
  });
  expect_tools_agree(*after);
}

}   // namespace
}   // namespace engine::thin
