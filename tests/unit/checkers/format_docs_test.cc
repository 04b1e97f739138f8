// The byte tables of docs/format/ and the constants of the code are the same.
#include <array>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "checkers/image/cache_format.h"
#include "checkers/image/findings.h"
#include "checkers/image/thin_format.h"

namespace checkers::image::test {
namespace {

std::string page(const std::string& name) {
  const std::string path = std::string{WAVETANK_SOURCE_DIR} + "/docs/format/" + name;
  std::ifstream in{path};
  EXPECT_TRUE(in.good()) << path;
  return {std::istreambuf_iterator<char>{in}, {}};
}

using Row = std::vector<std::string>;

// The rows of the table behind a marker comment, without its heading.
std::vector<Row> table(const std::string& text, const std::string& marker) {
  const std::size_t at = text.find("<!-- " + marker + " -->");
  EXPECT_NE(at, std::string::npos) << marker;
  if (at == std::string::npos) return {};
  std::istringstream in{text.substr(at)};
  std::string line;
  std::getline(in, line);
  std::vector<Row> rows;
  while (std::getline(in, line) && line.starts_with("|")) {
    Row row;
    std::istringstream cells{line.substr(1)};
    std::string cell;
    while (std::getline(cells, cell, '|')) {
      const std::size_t first = cell.find_first_not_of(' ');
      const std::size_t last = cell.find_last_not_of(' ');
      row.push_back(first == std::string::npos ? "" : cell.substr(first, last - first + 1));
    }
    rows.push_back(row);
  }
  EXPECT_GT(rows.size(), 2U) << marker;
  rows.erase(rows.begin(), rows.begin() + 2);
  return rows;
}

template <std::size_t N>
void expect_same(const std::string& name, const std::string& marker,
                 const std::array<thin_format::Field, N>& fields) {
  const auto rows = table(page(name), "fields: " + marker);
  ASSERT_EQ(rows.size(), fields.size()) << marker;
  std::size_t end = fields[0].offset;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    EXPECT_EQ(rows[i][0], fmt::format("{}", fields[i].offset)) << fields[i].name;
    EXPECT_EQ(rows[i][1], fmt::format("{}", fields[i].size)) << fields[i].name;
    EXPECT_EQ(rows[i][2], fields[i].name);
    EXPECT_EQ(fields[i].offset, end) << "a gap before " << fields[i].name;
    end = fields[i].offset + fields[i].size;
  }
}

TEST(FormatDocs, TablesOfFieldsAreThoseOfTheCode) {
  expect_same("superblock.md", "superblock", thin_format::kSuperblockFields);
  expect_same("superblock.md", "space map root", thin_format::kSpaceMapRootFields);
  expect_same("btree-node.md", "node", thin_format::kNodeFields);
  expect_same("space-maps.md", "bitmap", thin_format::kBitmapFields);
  expect_same("space-maps.md", "index block", thin_format::kIndexBlockFields);
  expect_same("space-maps.md", "index entry", thin_format::kIndexEntryFields);
  expect_same("devices-and-mappings.md", "device details", thin_format::kDetailsFields);
  expect_same("cache-superblock.md", "cache superblock", cache_format::kSuperblockFields);
  expect_same("cache.md", "array block", cache_format::kArrayFields);
}

TEST(FormatDocs, NodeCapacitiesAreThoseOfTheCode) {
  const std::string text = page("btree-node.md");
  for (const std::uint32_t size : {4U, 8U, 16U, 24U}) {
    const std::uint32_t max = thin_format::max_entries(size);
    const std::string cells =
        fmt::format("| {} | {} | {} | {} |", size, max, max / 3, 32 + 8 * max);
    EXPECT_NE(text.find(cells), std::string::npos) << cells;
  }
}

TEST(FormatDocs, ChecksumConstantsAreThoseOfTheCode) {
  const std::string text = page("README.md");
  for (const std::uint32_t salt :
       {thin_format::kSuperblockSalt, thin_format::kNodeSalt, thin_format::kIndexSalt,
        thin_format::kBitmapSalt, cache_format::kSuperblockSalt, cache_format::kArraySalt}) {
    EXPECT_NE(text.find(fmt::format("| {} |", salt)), std::string::npos) << salt;
  }
}

TEST(FormatDocs, ArrayCapacitiesAreThoseOfTheCode) {
  const std::string text = page("cache.md");
  for (const std::uint32_t size : {4U, 8U}) {
    const std::string cells = fmt::format("| {} | {} |", size, cache_format::array_entries(size));
    EXPECT_NE(text.find(cells), std::string::npos) << cells;
  }
}

TEST(FormatDocs, RulesAreThoseOfTheCode) {
  constexpr std::size_t kThinRules = 22;
  const auto rows = table(page("checker.md"), "rules");
  ASSERT_EQ(rows.size(), kThinRules);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i][0], fmt::format("{}", i + 1));
    EXPECT_EQ(rows[i][1], rule_name(static_cast<Rule>(i + 1)));
  }
  const auto cache_rows = table(page("cache-checker.md"), "cache rules");
  ASSERT_EQ(cache_rows.size(), 2 + kRules - 1 - kThinRules);
  for (std::size_t i = 0; i < cache_rows.size(); ++i) {
    const std::size_t rule = i < 2 ? i + 1 : kThinRules + i - 1;
    EXPECT_EQ(cache_rows[i][0], fmt::format("{}", rule));
    EXPECT_EQ(cache_rows[i][1], rule_name(static_cast<Rule>(rule)));
  }
}

}   // namespace
}   // namespace checkers::image::test
