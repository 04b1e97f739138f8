// Against the tools of thin-provisioning: what we write they accept, what they write we open.
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/cache/metadata_history.h"
#include "tests/unit/cache/metadata_tank.h"
#include "tests/unit/pdata/tools.h"
#include "tests/unit/sparse.h"

namespace engine::cache {
namespace {

using pdata::Folder;
using pdata::read_image;
using pdata::run;
using pdata::text_of;
using pdata::write_image;

void expect_tools_agree(const sim::DiskImage& image) {
  const Folder folder;
  write_image(image, folder / "image");
  EXPECT_EQ(run("cache_check " + (folder / "image") + " >" + (folder / "out") + " 2>&1"), 0)
      << text_of(folder / "out");
  ASSERT_EQ(run("cache_dump " + (folder / "image") + " >" + (folder / "xml")), 0);
  const std::string xml = text_of(folder / "xml");
  const auto report = report_of(image);
  EXPECT_EQ(faults_of(image), "");
  EXPECT_NE(xml.find(fmt::format("nr_cache_blocks=\"{}\"", report.superblock.cache_blocks)),
            std::string::npos);
  std::size_t at = 0;
  for (const auto& mapping : report.mappings) {
    // The tool shows no dirty bits of version 2.
    const bool dirty = mapping.dirty && report.superblock.version == 1;
    const std::string line =
        fmt::format("<mapping cache_block=\"{}\" origin_block=\"{}\" dirty=\"{}\"/>",
                    mapping.cache_block, mapping.origin_block, dirty);
    at = xml.find(line, at);
    ASSERT_NE(at, std::string::npos) << line;
  }
  EXPECT_EQ(xml.find("<mapping ", at + 1), std::string::npos) << "more than we know of";
}

TEST(CacheMetadataTools, AcceptWhatWeWrite) {
  NEEDS_TOOL("cache_check");
  for (const std::uint32_t version : {1U, 2U}) {
    SCOPED_TRACE(version);
    for (const std::uint32_t size : {1U, 64U, 508U, 509U, 1018U, 1019U, 40000U})
      expect_tools_agree(
          *with_metadata({.blocks = 512}, options_for(version, size), [](Metadata&) {}));
    expect_tools_agree(*example_image(version));
    expect_tools_agree(*with_metadata(
        {.image = example_image(version)}, options_for(version, 512), [](Metadata& metadata) {
          must(metadata.resize(4000));
          must(metadata.begin_service());
          for (std::uint32_t i = 0; i < 2000; ++i)
            must(metadata.insert(CacheBlock{600 + i}, OriginBlock{1000 + i}));
        }));
  }
}

// What Linux leaves behind when it shrinks, the tools call damage: 600 -> 509.
TEST(CacheMetadataTools, AcceptWhatWeShrank) {
  NEEDS_TOOL("cache_check");
  for (const std::uint32_t version : {1U, 2U}) {
    const auto image =
        with_metadata({.blocks = 512}, options_for(version, 600), [](Metadata& metadata) {
          CoreState state;
          for (std::uint32_t i = 0; i < 500; ++i)
            state.mappings[i + 50] = i;
          map_all(metadata, state);
          must(metadata.shut_down_cleanly(state.clean_state()));
          must(metadata.resize(509));
          must(metadata.begin_service());
        });
    expect_tools_agree(*image);
    EXPECT_EQ(report_of(*image).mappings.size(), 459);
  }
}

TEST(CacheMetadataTools, AcceptWhatAPowerCutLeaves) {
  NEEDS_TOOL("cache_check");
  for (const std::uint32_t version : {1U, 2U}) {
    const MetadataOptions options = options_for(version, 60);
    const auto fresh = with_metadata({.blocks = 256}, options, [](Metadata&) {});
    std::size_t cut_short = 0;
    for (std::uint64_t seed = 0; seed < 30; seed += unit::sparse()) {
      SCOPED_TRACE(fmt::format("version {}, seed {}", version, seed));
      bool ended = false;
      const auto image = in_tank({.seed = seed, .image = fresh}, [&](sim::SimDevice& device) {
        current_executor().spawn("cut", [&device, seed] {
          for (std::uint64_t i = 0; i < seed * 74 % 2600; ++i)
            yield_now();
          device.power_cut();
        });
        const auto metadata = Metadata::open(device, options);
        ended = metadata && history(**metadata, [] {});
      });
      cut_short += ended ? 0 : 1;
      expect_tools_agree(*image);
    }
    EXPECT_GT(cut_short, 15 / unit::sparse());
  }
}

TEST(CacheMetadataTools, WhatTheyRestoreWeOpenAndChange) {
  NEEDS_TOOL("cache_restore");
  for (const std::uint32_t version : {1U, 2U}) {
    SCOPED_TRACE(version);
    const Folder folder;
    std::ofstream{folder / "xml"}
        << R"(<superblock uuid="" block_size="64" nr_cache_blocks="600" policy="smq" hint_width="4">
<mappings>
<mapping cache_block="0" origin_block="7" dirty="true"/>
<mapping cache_block="508" origin_block="8" dirty="false"/>
<mapping cache_block="509" origin_block="9" dirty="true"/>
</mappings>
<hints><hint cache_block="0" data="KgAAAA=="/></hints>
</superblock>
)";
    write_image(sim::DiskImage{512 * kMetaBlockSectors}, folder / "image");
    ASSERT_EQ(run(fmt::format("cache_restore --metadata-version {} -i {} -o {} >/dev/null 2>&1",
                              version, folder / "xml", folder / "image")),
              0);
    const auto image = read_image(folder / "image");
    EXPECT_LE(report_of(*image).exit_code(), 1) << faults_of(*image);
    const auto after = with_metadata({.image = image}, options_for(version, 600), [](Metadata& m) {
      CoreState state;
      state.mappings = {{0, 7}, {508, 8}, {509, 9}};
      state.dirty = {{0, true}, {509, true}};
      auto expected = state.stored();
      for (StoredMapping& mapping : expected)
        mapping.hint.reset();   // the tool stores hints that no kernel trusts
      EXPECT_EQ(mappings_of(m), expected);
      must(m.resize(600));
      EXPECT_EQ(mappings_of(m), expected);
      must(m.shut_down_cleanly(state.clean_state()));
      EXPECT_EQ(mappings_of(m), state.stored());
    });
    const Folder other;
    write_image(*after, other / "image");
    EXPECT_EQ(run("cache_check " + (other / "image") + " >/dev/null"), 0);
    // Version 1 comes with a leaked block of the tool's own.
    EXPECT_EQ(report_of(*after).exit_code(), version == 1 ? 1 : 0) << faults_of(*after);
  }
}

}   // namespace
}   // namespace engine::cache
