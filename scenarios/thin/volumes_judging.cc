// What is left of a pool when the actors are done: its data, its modes, its blocks, its image.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "checkers/image/as_findings.h"
#include "scenarios/thin/options.h"
#include "scenarios/thin/volumes.h"

namespace scenarios::thin {
namespace {

// Of each data block.
std::vector<std::uint32_t> references(const engine::thin::PoolView& view) {
  std::vector<std::uint32_t> counts;
  const std::uint64_t blocks = view.data_blocks().value_or(0);
  for (std::uint64_t block = 0; block < blocks; ++block)
    counts.push_back(view.data_ref_count(engine::DataBlock{block}).value_or(0));
  return counts;
}

}   // namespace

void Volumes::judge_at_rest() {
  read_back_all();
  judge_mode();
  discard_all();
  judge_mode();
}

void Volumes::read_back_all() {
  for (std::uint32_t id = 0; id < kIds; ++id) {
    Thin& thin = thins_[id];
    if (thin.exists == Exists::no || !bench_.oracle.knows(id) || is_covered(id)) continue;
    const engine::MutexLock lock{thin.control};
    if (!is_active(id)) activate(id);
    if (!is_active(id)) {
      const bool excused = thin.exists == Exists::maybe || workload_.faults.may_roll_back() ||
                           !bench_.system->info(kPool).has_value();
      if (!excused) bench_.tell("thin lost", fmt::format("thin {} cannot be activated", id));
      continue;
    }
    requests_.read_back(target(id), workload_.system.block_sectors);
  }
}

// Nothing is under way. The status commits first, so what was freed is free.
void Volumes::judge_mode() {
  const engine::Result<std::string> status = bench_.system->status(kPool);
  metadata_fixed_ = !status || status->find(" ro ") != std::string::npos ||
                    status->find("Fail") != std::string::npos;
  if (!status) return;
  checkers::Findings findings;
  mode_judge_.at_rest(*status, findings);
  needs_check_ = status->find("needs_check") != std::string::npos;
  if (engine::thin::Pool* const pool = targets_->pools().find(kPool)) {
    for (const std::string& leak : engine::thin::PoolView{*pool}.leaks())
      findings.add("leaks", "in the pool", "nothing is under way, but {}", leak);
  }
  bench_.tell(findings);
}

// Nothing else is under way, so what the counts say before and after is exact.
void Volumes::discard_all() {
  const SystemSpec& spec = workload_.system;
  if (spec.ignore_discard || spec.no_discard_passdown || !discards_offset_) return;
  engine::thin::Pool* const pool = targets_->pools().find(kPool);
  if (pool == nullptr) return;
  const engine::thin::PoolView view{*pool};
  std::vector<std::uint32_t> counts = references(view);
  for (std::uint32_t id = 0; id < kIds; ++id) {
    if (!engine::thin::changes_metadata(view.mode())) return;
    if (!is_covered(id) && thins_[id].exists == Exists::yes && bench_.oracle.knows(id) &&
        is_active(id))
      discard_whole(id, view, counts);
  }
}

void Volumes::discard_whole(std::uint32_t id, const engine::thin::PoolView& view,
                            std::vector<std::uint32_t>& counts) {
  bench_.world.watch_discards();
  requests_.issue(target(id),
                  Operation{.verb = Verb::discard, .thin = id, .sectors = bench_.oracle.size(id)});
  const std::vector<std::uint32_t> before = std::exchange(counts, references(view));
  if (!engine::thin::changes_metadata(view.mode())) return;
  const engine::Result<std::string> status = bench_.system->status(name_of(id));
  if (status && status->find(" thin 0 ") == std::string::npos) {
    bench_.tell("mapped after a discard of everything",
                fmt::format("thin {} says '{}'", id, *status));
  }
  for (std::uint64_t block = 0; block < std::min(before.size(), counts.size()); ++block) {
    if (before[block] == 0 || counts[block] != 0) continue;
    const std::uint64_t sectors = workload_.system.block_sectors;
    if (bench_.world.was_discarded(engine::Sector{*discards_offset_ + block * sectors}, sectors))
      continue;
    bench_.world.report(checkers::Finding{
        "lower_device", "freed and not discarded",
        fmt::format("data block {} lost its last reference when thin {} was discarded, and the "
                    "data device was not told",
                    block, id)});
    return;
  }
}

void Volumes::judge_image(Image which) {
  const std::unique_ptr<checkers::image::BlockSource> image = bench_.world.image("metadata");
  // A cut before the first commit leaves a blank device, which is nobody's pool.
  std::array<std::byte, checkers::image::kImageBlockSize> first{};
  if (image->nr_blocks() == 0 || !image->read(0, first)) return;
  if (std::all_of(first.begin(), first.end(), [](std::byte each) { return each == std::byte{0}; }))
    return;
  const checkers::image::ThinReport report = checkers::image::check_thin(
      *image, {.data_device_blocks = workload_.system.data_device_blocks});
  checkers::Findings findings;
  if (needs_check_ && report.readable && (report.superblock.flags & 1U) == 0) {
    findings.add("lab", "needs_check is not on disk",
                 "the pool said so, and its superblock does not");
  }
  // A commit may come while a passdown holds a block. Who can change the metadata no more
  // afterwards, because the power goes, or because it has failed or is full, cannot give the block
  // back, nor can one that came after it. Nobody else may leak, whatever happens.
  const bool after_failure = remade_ && workload_.faults.may_roll_back();
  const SystemSpec& spec = workload_.system;
  const bool passdowns = requests_.discarded() && !spec.ignore_discard && !spec.no_discard_passdown;
  const bool held = passdowns && (which == Image::after_cut || bench_.power_cut ||
                                  metadata_fixed_ || after_failure);
  checkers::image::add_findings(
      report, held ? checkers::image::Expect::held : checkers::image::Expect::exact, findings);
  bench_.tell(findings);
}

}   // namespace scenarios::thin
