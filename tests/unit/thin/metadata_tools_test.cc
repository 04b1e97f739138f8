// Against the tools of thin-provisioning: what we write they accept, what they write we open.
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/pdata/tools.h"
#include "tests/unit/thin/metadata_tank.h"

namespace engine::thin {
namespace {

using pdata::Folder;
using pdata::read_image;
using pdata::run;
using pdata::text_of;
using pdata::write_image;

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
  NEEDS_TOOL("thin_check");
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
  NEEDS_TOOL("thin_check");
  expect_tools_agree(*with_metadata({.blocks = 2048}, small_options(), busy_history));
  expect_tools_agree(*with_metadata({.blocks = 8192}, small_options(6), busy_history));
}

TEST(MetadataTools, WhatTheyRestoreWeOpenAndChange) {
  NEEDS_TOOL("thin_check");
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
