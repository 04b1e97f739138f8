// Our cache metadata on an image file, for tests against other people's programs:
//   cache_interop_tool IMAGE VERSION CACHE_BLOCKS ORIGIN_BLOCKS OP ...
// opens (or formats) the image and does, in order:
//   dump                prints what a resume would load
//   fill:C:O:N          maps cache blocks C to C+N-1 to origin blocks from O
//   remove:C            unmaps
//   resize:N  begin  commit
//   shutdown:D:H        clean, with every D-th mapped block dirty (0: none) and hint H for all
// What is not committed is lost; an image that was not shut down at the end is unclean. Exit 1 at
// the first error.
#include <charconv>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "engine/cache/metadata.h"
#include "sim/execution.h"
#include "sim/sim_device.h"

namespace {

using namespace engine;   // NOLINT(google-build-using-namespace)
using cache::CacheBlock;
using cache::OriginBlock;

constexpr std::uint32_t kBlockSectors = 64;
constexpr cache::PolicyIdentity kPolicy{
    .name = "smq", .version = {.major = 2, .minor = 0, .patch = 0}, .hint_size = 4};

struct Op {
  std::string_view name;
  std::vector<std::uint32_t> numbers;
  [[nodiscard]] std::uint32_t number(std::size_t i) const {
    return i < numbers.size() ? numbers[i] : 0;
  }
};

std::uint32_t number(std::string_view text) {
  std::uint32_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

Op parse(std::string_view text) {
  Op op{.name = text.substr(0, text.find(':')), .numbers = {}};
  for (std::size_t at = text.find(':'); at != std::string_view::npos; at = text.find(':', at + 1))
    op.numbers.push_back(number(text.substr(at + 1, text.find(':', at + 1) - at - 1)));
  return op;
}

Result<void> dump(cache::Metadata& metadata, std::uint64_t origin_blocks) {
  ENGINE_TRY_ASSIGN(const std::uint32_t version, metadata.version());
  ENGINE_TRY_ASSIGN(const std::uint32_t blocks, metadata.cache_blocks());
  ENGINE_TRY_ASSIGN(const bool clean, metadata.clean());
  ENGINE_TRY_ASSIGN(const cache::Statistics stats, metadata.statistics());
  fmt::print("cache {} {} {}\n", version, blocks, clean ? "clean" : "unclean");
  fmt::print("stats {} {} {} {}\n", stats.read_hits, stats.read_misses, stats.write_hits,
             stats.write_misses);
  ENGINE_TRY_ASSIGN(const auto mappings, metadata.load_mappings(kPolicy, origin_blocks));
  for (const cache::StoredMapping& mapping : mappings) {
    fmt::print("map {} {} {} {}\n", mapping.block, mapping.origin,
               mapping.dirty ? "dirty" : "clean",
               mapping.hint ? fmt::format("{}", *mapping.hint) : "-");
  }
  ENGINE_TRY_ASSIGN(const auto discards, metadata.load_discards(cache::discard_geometry(
                                             kBlockSectors, origin_blocks * kBlockSectors)));
  for (const cache::DiscardRange& range : discards)
    fmt::print("discard {} {}\n", range.begin, range.end);
  return {};
}

Result<void> shut_down(cache::Metadata& metadata, const Op& op, std::uint64_t origin_blocks) {
  std::uint32_t seen = 0;
  std::vector<bool> dirty;
  ENGINE_TRY_ASSIGN(const auto mappings, metadata.load_mappings(kPolicy, origin_blocks));
  for (const cache::StoredMapping& mapping : mappings) {
    dirty.resize(mapping.block.value() + 1);
    dirty[mapping.block.value()] = op.number(0) != 0 && seen++ % op.number(0) == 0;
  }
  const auto geometry = cache::discard_geometry(kBlockSectors, origin_blocks * kBlockSectors);
  return metadata.shut_down_cleanly(
      {.dirty = [&](CacheBlock b) { return b.value() < dirty.size() && dirty[b.value()]; },
       .discards = geometry,
       .discarded = [](cache::DiscardBlock b) { return b.value() >= 10 && b.value() < 20; },
       .statistics = {.read_hits = 1, .read_misses = 2, .write_hits = 3, .write_misses = 4},
       .policy = kPolicy,
       .hint = [&](CacheBlock) { return op.number(1); }});
}

Result<void> apply(cache::Metadata& metadata, const Op& op, std::uint64_t origin_blocks) {
  if (op.name == "dump") return dump(metadata, origin_blocks);
  if (op.name == "fill") {
    for (std::uint32_t i = 0; i < op.number(2); ++i)
      ENGINE_TRY(metadata.insert(CacheBlock{op.number(0) + i}, OriginBlock{op.number(1) + i}));
    return {};
  }
  if (op.name == "remove") return metadata.remove(CacheBlock{op.number(0)});
  if (op.name == "resize") return metadata.resize(op.number(0));
  if (op.name == "begin") return metadata.begin_service();
  if (op.name == "commit") return metadata.commit();
  if (op.name == "shutdown") return shut_down(metadata, op, origin_blocks);
  return fail(Errc::invalid, 0, "no such operation");
}

Result<void> work(BlockDevice& device, const std::vector<std::string_view>& words) {
  const std::uint64_t origin_blocks = number(words[3]);
  ENGINE_TRY_ASSIGN(const auto metadata,
                    cache::Metadata::open(device, {.data_block_sectors = kBlockSectors,
                                                   .version = number(words[1]),
                                                   .cache_blocks = number(words[2])}));
  for (std::size_t i = 4; i < words.size(); ++i)
    ENGINE_TRY(apply(*metadata, parse(words[i]), origin_blocks));
  metadata->close();
  return {};
}

}   // namespace

int main(int argc, char** argv) {
  const std::vector<std::string_view> words{argv + 1, argv + argc};
  if (words.size() < 4) return 2;
  const std::string path{words[0]};
  std::stringstream content;
  content << std::ifstream{path, std::ios::binary}.rdbuf();
  std::string bytes = content.str();
  sim::Execution execution{{.seed = 1}};
  auto image = std::make_shared<sim::DiskImage>(bytes.size() / kSectorSize);
  image->write(Sector{0}, std::as_bytes(std::span{bytes}));
  Result<void> result;
  {
    sim::SimDevice device{execution,
                          "metadata",
                          {.sectors = bytes.size() / kSectorSize, .image = image, .faults = {}}};
    const auto& outcome = execution.run([&] { result = work(device, words); });
    if (outcome.finding) {
      fmt::print(stderr, "{}: {}\n", outcome.finding->place, outcome.finding->message);
      return 1;
    }
    device.snapshot()->read(Sector{0}, std::as_writable_bytes(std::span{bytes}));
  }
  std::ofstream{path, std::ios::binary} << bytes;
  if (result) return 0;
  fmt::print(stderr, "{} {} {}\n", to_string(result.error().code), result.error().where,
             result.error().what);
  return 1;
}
