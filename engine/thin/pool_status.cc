// The status lines of pools and thins, as Linux writes them, trailing space and all.
#include <algorithm>

#include <fmt/format.h>

#include "engine/thin/pool.h"

namespace engine::thin {
namespace {

[[nodiscard]] const char* mode_word(PoolMode mode) noexcept {
  switch (mode) {
    case PoolMode::write:
      return "rw";
    case PoolMode::out_of_data_space:
      return "out_of_data_space";
    case PoolMode::out_of_metadata_space:
    case PoolMode::read_only:
    case PoolMode::fail:
      return "ro";
  }
  return "ro";
}

[[nodiscard]] const char* discard_word(DiscardPolicy policy) noexcept {
  switch (policy) {
    case DiscardPolicy::ignore:
      return "ignore_discard";
    case DiscardPolicy::no_passdown:
      return "no_discard_passdown";
    case DiscardPolicy::passdown:
      return "discard_passdown";
  }
  return "?";
}

}   // namespace

std::string Pool::status(io::StatusCommit commit_first) {
  return on_worker("pool.status", [&]() -> std::string {
    if (commit_first == io::StatusCommit::yes && !suspended_.load() && changes_metadata(mode())) {
      static_cast<void>(commit_if_changed());
    }
    if (mode() == PoolMode::fail) return "Fail";
    const auto fields = status_fields();
    return fields ? *fields : "Error";
  });
}

Result<std::string> Pool::status_fields() {
  ENGINE_TRY_ASSIGN(const std::uint64_t transaction, metadata_->transaction_id());
  ENGINE_TRY_ASSIGN(const std::uint64_t metadata_free, metadata_->free_metadata_blocks());
  ENGINE_TRY_ASSIGN(const std::uint64_t metadata_total, metadata_->metadata_blocks());
  ENGINE_TRY_ASSIGN(const std::uint64_t data_free, metadata_->free_data_blocks());
  ENGINE_TRY_ASSIGN(const std::uint64_t data_total, metadata_->data_blocks());
  ENGINE_TRY_ASSIGN(const std::optional<MetaBlock> held, metadata_->held_root());
  ENGINE_TRY_ASSIGN(const bool needs_check, metadata_->needs_check());
  // Not among the arguments, which come in whatever order the compiler likes.
  const bool errors = error_if_no_space_.load();
  const PoolMode mode_now = mode();
  return fmt::format("{} {}/{} {}/{} {} {} {} {} {} {} ", transaction,
                     metadata_total - metadata_free, metadata_total, data_total - data_free,
                     data_total, held ? fmt::format("{}", *held) : "-", mode_word(mode_now),
                     discard_word(discard_policy_),
                     errors ? "error_if_no_space" : "queue_if_no_space",
                     needs_check ? "needs_check" : "-", metadata_low_water(metadata_total));
}

std::string Pool::thin_status(const ThinDevice& thin) {
  if (mode() == PoolMode::fail) return "Fail";
  const auto mapped = metadata_->mapped_count(thin.metadata());
  const auto highest = metadata_->highest_mapped(thin.metadata());
  if (!mapped || !highest) return mode() == PoolMode::fail ? "Fail" : "Error";
  const std::uint64_t sectors = *mapped * block_sectors_;
  if (!*highest) return fmt::format("{} -", sectors);
  return fmt::format("{} {}", sectors, ((*highest)->value() + 1) * block_sectors_ - 1);
}

}   // namespace engine::thin
