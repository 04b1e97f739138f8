#include "scenarios/limits.h"

#include <set>

#include <fmt/format.h>

namespace scenarios {
namespace {

using Wrong = std::optional<Unusable>;

// The checks of one section, as a visitor of its numbers.
class Section {
 public:
  Section(Wrong& wrong, std::string path) : wrong_{wrong}, path_{std::move(path)} {}
  void operator()(std::string_view key, std::uint64_t value, const Range& range) {
    if (!range.holds(value)) says(key, value, range.text());
  }
  void says(std::string_view key, std::uint64_t value, std::string wants) {
    if (!wrong_)
      wrong_ =
          Unusable{fmt::format("{}.{}", path_, key), fmt::format("{}", value), std::move(wants)};
  }

 private:
  Wrong& wrong_;
  std::string path_;
};

bool has_pool(const SystemSpec& system) noexcept {
  return system.family != FamilyKind::cache;
}

bool has_cache(const SystemSpec& system) noexcept {
  return system.family != FamilyKind::thin;
}

// `blocks` of so many sectors, on one disk.
void fits(Section& section, std::string_view key, std::uint64_t blocks, std::uint64_t sectors) {
  const std::uint64_t most = limits::kDiskSectors / sectors;
  if (blocks > most)
    section.says(key, blocks, fmt::format("at most {} blocks of {} sectors", most, sectors));
}

void judge_pool(const SystemSpec& system, Wrong& wrong) {
  Section section{wrong, "system"};
  if (system.data_device_blocks < system.data_blocks)
    section.says("data_device_blocks", system.data_device_blocks,
                 fmt::format("at least the {} of data_blocks", system.data_blocks));
  fits(section, "data_device_blocks", system.data_device_blocks, system.block_sectors);
  if (system.family == FamilyKind::stack && system.external_sectors != 0)
    section.says("external_sectors", system.external_sectors, "0 in a stack, which has none");
  std::set<std::uint32_t> ids;
  for (std::size_t i = 0; i < system.thins.size(); ++i) {
    const ThinSpec& thin = system.thins[i];
    Section each{wrong, fmt::format("system.thins[{}]", i)};
    numbers_of_thin(thin, each);
    if (!ids.insert(thin.id).second) each.says("id", thin.id, "an id that no other thin has");
    fits(each, "blocks", thin.blocks, system.block_sectors);
    if (thin.external && system.external_sectors == 0 && !wrong)
      wrong = Unusable{fmt::format("system.thins[{}].external", i), "true",
                       "false where external_sectors is 0"};
  }
}

void judge_cache(const SystemSpec& system, std::uint64_t block_sectors, Wrong& wrong) {
  Section section{wrong, "cache"};
  const CacheSpec& cache = system.cache;
  numbers_of_cache(cache, section);
  if (cache.blocks_max < cache.blocks)
    section.says("blocks_max", cache.blocks_max,
                 fmt::format("at least the {} of blocks", cache.blocks));
  fits(section, "blocks_max", cache.blocks_max, block_sectors);
  if (system.family == FamilyKind::cache) {
    fits(section, "origin_blocks", cache.origin_blocks, block_sectors);
    if (cache.tail_sectors >= block_sectors)
      section.says("tail_sectors", cache.tail_sectors,
                   fmt::format("less than a block of {} sectors", block_sectors));
  } else if (cache.tail_sectors != 0) {
    section.says("tail_sectors", cache.tail_sectors, "0 in a stack, which says what it stands on");
  }
}

// The cache takes whole blocks of its own off what it stands on, and must be worth a table; a pool
// on it must fit.
void judge_layers(const Workload& workload, Wrong& wrong) {
  const SystemSpec& system = workload.system;
  Section section{wrong, "stack"};
  numbers_of_stack(system.stack, section);
  if (wrong) return;
  const std::uint64_t block = system.stack.cache_block_sectors;
  if (system.stack.shape == StackShape::cache_over_thin) {
    if (system.thins.empty() || system.thins.front().id != 0) {
      wrong = Unusable{"system.thins", system.thins.empty() ? "[]" : "[...]",
                       "thin 0 first: the cache stands on it"};
      return;
    }
    const std::uint64_t origin = system.thins.front().blocks * system.block_sectors;
    if (origin < block)
      section.says("cache_block_sectors", block,
                   fmt::format("at most the {} sectors of thin 0", origin));
    return;
  }
  const std::uint64_t cached = system.data_device_blocks * system.block_sectors / block * block;
  if (cached < system.data_blocks * system.block_sectors)
    Section{wrong, "system"}.says(
        "data_blocks", system.data_blocks,
        fmt::format("at most the {} that fit on a cache of whole blocks of {} sectors",
                    cached / system.block_sectors, block));
}

void judge_operation(const Operation& operation, const std::string& path, Wrong& wrong) {
  if (wrong) return;
  const auto says = [&](std::string_view key, const Range& range) {
    wrong = Unusable{path, to_string(operation), fmt::format("{} from {}", key, range.text())};
  };
  if (!limits::kThins.holds(operation.thin)) says("thin", limits::kThins);
  if (!limits::kThins.holds(operation.origin)) says("origin", limits::kThins);
  if (operation.verb == Verb::sleep && !limits::kSleepMs.holds(operation.sectors))
    says("ms", limits::kSleepMs);
}

// Of blocks: what is longer than the volume reaches nothing.
std::uint64_t reached(const Operation& operation, std::uint64_t block_sectors) noexcept {
  if (!is_transfer(operation.verb) || operation.sectors > limits::kDiskSectors) return 0;
  return (operation.sectors + block_sectors - 1) / block_sectors;
}

// One list after the other: what is too much is said of the first operation that is.
class OperationJudge {
 public:
  OperationJudge(std::uint64_t block_sectors, Wrong& wrong)
      : block_sectors_{block_sectors}, wrong_{wrong} {}

  void judge(const std::vector<Operation>& operations, const std::string& path) {
    for (std::size_t i = 0; i < operations.size() && !wrong_; ++i) {
      const Operation& operation = operations[i];
      const std::string place = fmt::format("{}[{}]", path, i);
      judge_operation(operation, place, wrong_);
      blocks_ += reached(operation, block_sectors_);
      if (!wrong_ && ++count_ > limits::kOperations)
        wrong_ = Unusable{place, to_string(operation),
                          fmt::format("at most {} operations in all", limits::kOperations)};
      if (!wrong_ && blocks_ > limits::kBlocksReached)
        wrong_ = Unusable{
            place, to_string(operation),
            fmt::format("at most {} blocks reached by all together", limits::kBlocksReached)};
    }
  }

 private:
  const std::uint64_t block_sectors_;
  Wrong& wrong_;
  std::size_t count_ = 0;
  std::uint64_t blocks_ = 0;
};

void judge_operations(const Workload& workload, Wrong& wrong) {
  if (!wrong && workload.actors.size() > limits::kActors)
    wrong =
        Unusable{fmt::format("actor[{}]", limits::kActors), workload.actors[limits::kActors].name,
                 fmt::format("at most {} actors", limits::kActors)};
  OperationJudge judge{workload.system.block_sectors, wrong};
  judge.judge(workload.setup, "setup.operations");
  for (std::size_t a = 0; a < workload.actors.size(); ++a)
    judge.judge(workload.actors[a].operations, fmt::format("actor[{}].operations", a));
}

}   // namespace

bool Range::holds(std::uint64_t value) const noexcept {
  if (or_zero && value == 0) return true;
  return value >= least && value <= most && value % step == 0;
}

std::string Range::text() const {
  return fmt::format("{}{}{} to {}", or_zero ? "0 or " : "",
                     step != 1 ? fmt::format("a multiple of {} from ", step) : "", least, most);
}

std::optional<Unusable> unusable(const Workload& workload) {
  Wrong wrong;
  const SystemSpec& system = workload.system;
  numbers_of_system(system, Section{wrong, "system"});
  if (!wrong && has_pool(system)) judge_pool(system, wrong);
  if (!wrong && has_cache(system)) {
    const bool stacked = system.family == FamilyKind::stack;
    if (stacked) judge_layers(workload, wrong);
    if (!wrong)
      judge_cache(system, stacked ? system.stack.cache_block_sectors : system.block_sectors, wrong);
  }
  numbers_of_faults(workload.faults, Section{wrong, "faults"});
  judge_operations(workload, wrong);
  return wrong;
}

}   // namespace scenarios
