// A metadata device in the tank with a thin::Metadata on it, and judges of the images it leaves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "checkers/image/as_findings.h"
#include "checkers/image/thin_check.h"
#include "checkers/image/thin_dump.h"
#include "engine/thin/metadata.h"
#include "engine/thin/superblock_format.h"
#include "tests/unit/pdata/meta_tank.h"

namespace engine::thin {

using pdata::code_of;
using pdata::ImageSource;
using pdata::in_tank;
using pdata::must;
using pdata::TankOptions;

inline constexpr std::uint32_t kTestBlockSectors = 128;

inline MetadataOptions small_options(std::uint32_t fan_out = 0) {
  return {.data_block_sectors = kTestBlockSectors, .fan_out = fan_out};
}

// Opens, runs `body(metadata)`, closes: the image is then a pool closed in order.
template <typename Body>
sim::DiskImageRef with_metadata(const TankOptions& tank, const MetadataOptions& options,
                                Body&& body) {
  return in_tank(tank, [&](sim::SimDevice& device) {
    const std::unique_ptr<Metadata> metadata = must(Metadata::open(device, options));
    body(*metadata);
    must(metadata->close());
  });
}
template <typename Body>
sim::DiskImageRef with_metadata(const sim::DiskImageRef& image, Body&& body) {
  return with_metadata({.image = image}, small_options(), std::forward<Body>(body));
}

// Allocates and maps: what a write to an unmapped block does.
inline Result<DataBlock> provision(Metadata& metadata, OpenThin& device, std::uint64_t block) {
  ENGINE_TRY_ASSIGN(const DataBlock data, metadata.alloc_data_block());
  ENGINE_TRY(metadata.insert(device, VirtBlock{block}, data));
  return data;
}

// The pool that the format description works through: see docs/format.
inline void example_history(Metadata& metadata) {
  must(metadata.resize_data(200));
  must(metadata.create_thin(ThinId{7}));
  OpenThin* const seven = must(metadata.open_device(ThinId{7}));
  must(provision(metadata, *seven, 5));
  must(provision(metadata, *seven, 9));
  must(metadata.commit());
  must(metadata.create_snap(ThinId{8}, ThinId{7}));
  must(metadata.commit());
  must(provision(metadata, *seven, 5));
  must(metadata.set_transaction_id(0, 42));
  metadata.close_device(*seven);
}

// On 256 blocks.
inline sim::DiskImageRef example() {
  return with_metadata({.blocks = 256}, small_options(), example_history);
}

// Everything that the checker finds, one a line; empty: nothing.
inline std::string faults_of(const sim::DiskImage& image,
                             checkers::image::Expect expect = checkers::image::Expect::exact) {
  ImageSource source{image};
  const checkers::image::ThinReport report = checkers::image::check_thin(source);
  checkers::Findings findings;
  checkers::image::add_findings(report, expect, findings);
  std::string text;
  if (!report.readable) text += "unreadable\n";
  if (!findings.empty()) {
    for (const auto& finding : report.findings.kept())
      text += checkers::image::to_text(finding) + "\n";
  }
  return text;
}

inline checkers::image::ThinDump dump_of(const sim::DiskImage& image) {
  ImageSource source{image};
  return checkers::image::dump_thin(source);
}
inline std::string xml_of(const sim::DiskImage& image) {
  ImageSource source{image};
  const checkers::image::ThinXml xml = checkers::image::dump_thin_xml(source);
  EXPECT_EQ(xml.error, "");
  return xml.text;
}

// The offset, from 0, of a byte of a block within an image.
inline void poke(sim::DiskImage& image, std::uint64_t block, std::size_t offset,
                 const std::function<void(std::byte&)>& change) {
  std::vector<std::byte> bytes = pdata::block_bytes(image, block);
  change(bytes[offset]);
  image.write(first_sector(MetaBlock{block}), bytes);
}

}   // namespace engine::thin
