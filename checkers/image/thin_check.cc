#include "checkers/image/thin_check.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "checkers/image/data_counts.h"
#include "checkers/image/thin_pool_walk.h"
#include "checkers/image/thin_space_map.h"
#include "checkers/image/thin_superblock.h"
#include "checkers/image/thin_walk.h"

namespace checkers::image {
namespace {

struct DataRefs {
  const DataCounts& counts;
  Findings& findings;
  std::vector<std::uint64_t>& unsound;

  [[nodiscard]] std::uint64_t refs(std::uint64_t block) const { return counts.refs(block); }
  void extra(std::uint64_t block) {
    constexpr std::uint32_t kOdd = DataCounts::kDiffers | DataCounts::kExclusive;
    const std::uint32_t word = counts.word(block);
    if ((word & kOdd) == 0) [[likely]]
      return;
    if (DataCounts::unsound(word)) unsound.push_back(block);
    if ((word & DataCounts::kDiffers) != 0) {
      findings.add(Rule::shared_identity, Severity::warn, 0, fmt::format("data block {}", block),
                   "mapped at different virtual blocks or times", "the same wherever it is mapped");
    }
  }
};

}   // namespace

class ThinChecker::Impl {
 public:
  const ThinReport& check(BlockSource& source, const CheckOptions& options);

  ThinReport report;
  ThinImage image;
  DataCounts data;

 private:
  void check_trees(const CheckOptions& options);
  void check_counts();

  TreeWalk walk_{image};
  ThinSpaceMap metadata_map_{image, walk_, ThinSpaceMap::Kind::metadata};
  ThinSpaceMap data_map_{image, walk_, ThinSpaceMap::Kind::data};
  ThinPoolWalk pool_{image, walk_, data};
  std::vector<std::uint64_t> unsound_;
};

const ThinReport& ThinChecker::Impl::check(BlockSource& source, const CheckOptions& options) {
  if (report.findings.kept_per_rule() != options.findings_per_rule) {
    report.findings = Findings{options.findings_per_rule};
  }
  report.findings.clear();
  report.readable = false;
  report.complete = false;
  report.superblock = {};
  report.metadata_allocated = report.data_allocated = report.distinct_mappings = 0;
  report.devices.clear();
  report.held_devices.clear();
  image.reset(source, report.findings);
  walk_.reset();

  const std::byte* bytes = image.load(0, BlockType::superblock, 0);
  if (bytes != nullptr) {
    report.superblock = parse_superblock(bytes, 0);
    report.readable =
        check_superblock(report.superblock, bytes, source.nr_blocks(), report.findings);
  }
  if (report.readable) {
    image.set_nr_blocks(report.superblock.metadata_map.nr_blocks);
    check_trees(options);
    check_counts();
    report.complete = image.complete();
  }
  report.blocks_read = image.blocks_read();
  return report;
}

void ThinChecker::Impl::check_trees(const CheckOptions& options) {
  const Superblock& super = report.superblock;
  image.enter(0, BlockType::superblock, {0, "superblock"}, ThinImage::Counted::yes);
  metadata_map_.load(super.metadata_map, 0);
  data_map_.load(super.data_map, 0);
  if (options.data_device_blocks && super.data_map.nr_blocks > *options.data_device_blocks) {
    report.findings.add(
        Rule::data_bounds, Severity::fatal, 0, "data_space_map_root.nr_blocks",
        fmt::format("{}", super.data_map.nr_blocks),
        fmt::format("at most {}, the data device's size", *options.data_device_blocks));
  }
  if (!data.reset(data_map_.capacity())) {
    report.findings.add(Rule::data_bounds, Severity::fatal, 0, "data_space_map_root.nr_blocks",
                        fmt::format("{}", super.data_map.nr_blocks), "what fits in memory");
    image.set_complete(false);
    (void)data.reset(0);
  }
  pool_.walk(super, report.devices, report.held_devices);
  report.distinct_mappings = pool_.distinct_mappings();
}

void ThinChecker::Impl::check_counts() {
  unsound_.clear();
  if (data.size() == data_map_.capacity()) {
    DataRefs refs{data, report.findings, unsound_};
    data_map_.compare(refs);
  }
  // The walk of the maps' own blocks is over by now, so that these counts are final.
  MetadataRefs refs{image};
  metadata_map_.compare(refs);
  report.data_allocated = data_map_.allocated();
  report.metadata_allocated = metadata_map_.allocated();
  if (!unsound_.empty()) pool_.explain_unsound(report.devices, unsound_);
}

ThinChecker::ThinChecker() : impl_{std::make_unique<Impl>()} {}
ThinChecker::~ThinChecker() = default;

const ThinReport& ThinChecker::check(BlockSource& source, const CheckOptions& options) {
  return impl_->check(source, options);
}

std::uint64_t ThinChecker::metadata_refs(std::uint64_t block) const {
  return block < impl_->image.nr_blocks() ? impl_->image.refs(block) : 0;
}

std::uint64_t ThinChecker::data_refs(std::uint64_t block) const {
  return block < impl_->data.size() ? impl_->data.refs(block) : 0;
}

ThinReport check_thin(BlockSource& source, const CheckOptions& options) {
  ThinChecker checker;
  return checker.check(source, options);
}

void check_succession(const Superblock& earlier, const Superblock& later, Findings& findings) {
  const auto not_less = [&](Rule rule, const char* field, std::uint64_t before,
                            std::uint64_t after) {
    if (after >= before) return;
    findings.add(rule, Severity::fatal, 0, field, fmt::format("{}", after),
                 fmt::format("at least {}, as at the commit before", before));
  };
  not_less(Rule::times, "time", earlier.time, later.time);
  not_less(Rule::superblock_fields, "data_space_map_root.nr_blocks", earlier.data_map.nr_blocks,
           later.data_map.nr_blocks);
  not_less(Rule::superblock_fields, "metadata_space_map_root.nr_blocks",
           earlier.metadata_map.nr_blocks, later.metadata_map.nr_blocks);
  if (later.data_block_size != earlier.data_block_size) {
    findings.add(Rule::superblock_fields, Severity::fatal, 0, "data_block_size",
                 fmt::format("{}", later.data_block_size),
                 fmt::format("{}, as at the commit before", earlier.data_block_size));
  }
}

}   // namespace checkers::image
