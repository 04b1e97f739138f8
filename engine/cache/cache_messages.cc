// Messages to a cache: settings, and blocks that are to leave it.
#include "engine/cache/cache.h"
#include "engine/io/words.h"

namespace engine::cache {
namespace {

// Waits for one bio that no submitter has.
class OneBio final : public io::MappedBioCore {
 public:
  void end_mapped(io::MappedBio& bio, Errc status) override {
    static_cast<void>(bio);
    status_ = status;
    ended_.signal();
  }
  [[nodiscard]] Errc wait() {
    ended_.wait();
    return status_;
  }

 private:
  Completion ended_{"cache.eviction"};
  Errc status_ = Errc::ok;
};

}   // namespace

Result<std::string> Cache::message(std::span<const std::string_view> args) {
  if (mode() != CacheMode::write)
    return fail(Errc::not_supported, 0, "the cache's mode allows no messages");
  if (io::same_name(args[0], "invalidate_cblocks")) {
    if (config_.io_mode != IoMode::passthrough)
      return fail(Errc::not_permitted, 0, "blocks can only be invalidated in passthrough mode");
    for (const std::string_view range : args.subspan(1))
      ENGINE_TRY(invalidate_range(range));
    return std::string{};
  }
  if (args.size() != 2) return fail(Errc::invalid, args.size(), "not <key> <value>");
  auto set = on_worker("cache.message", [&] { return set_config(args[0], args[1]); });
  if (!set) return Failure{set.error()};
  return std::string{};
}

Result<void> Cache::set_config(std::string_view key, std::string_view text) {
  const auto value = io::parse_number(text);
  if (!value) return fail(Errc::invalid, 0, "the value is not a number");
  if (!io::same_name(key, "migration_threshold")) return policy_->set_config(key, *value);
  migration_threshold_ = *value;
  wake();
  return {};
}

// "5" or "5-9", without the last.
Result<void> Cache::invalidate_range(std::string_view range) {
  const std::size_t dash = range.find('-');
  const auto begin = io::parse_number(range.substr(0, dash));
  const auto end = dash == std::string_view::npos
                       ? (begin ? std::optional{*begin + 1} : std::nullopt)
                       : io::parse_number(range.substr(dash + 1));
  if (!begin || !end) return fail(Errc::invalid, 0, "not a cache block or a range of them");
  if (*begin >= *end) return fail(Errc::invalid, *begin, "the range of cache blocks is empty");
  if (*end > cache_blocks_)
    return fail(Errc::invalid, *end, "the range of cache blocks ends beyond the cache");
  for (std::uint64_t place = *begin; place < *end; ++place)
    ENGINE_TRY(invalidate_place(CacheBlock{static_cast<std::uint32_t>(place)}));
  return {};
}

// A bio of no data takes the block's cell like any other and waits for the eviction.
Result<void> Cache::invalidate_place(CacheBlock place) {
  OneBio core;
  io::MappedBio bio;
  const auto asked = on_worker("cache.invalidate", [&]() -> Result<bool> {
    if (suspended_.load()) return fail(Errc::busy, place.value(), "the cache is suspended");
    const std::optional<OriginBlock> block = policy_->mapping_of(place);
    if (!block) return false;
    bio.core = &core;
    bio.op = BioOp::read;
    bio.mapped_sector = first_sector(*block, config_.block_sectors);
    bio.sector = bio.mapped_sector;
    BioState& state = bio.emplace<BioState>();
    state.step = Step::evicting;
    state.place = place;
    ++evictions_asked_;
    defer(bio);
    return true;
  });
  if (!asked) return Failure{asked.error()};
  if (!*asked) return {};
  const Errc status = core.wait();
  on_worker("cache.invalidated", [this] {
    --evictions_asked_;
    signal_if_drained();
    return true;
  });
  if (status != Errc::ok) return fail(status, place.value(), "the block stays in the cache");
  return {};
}

}   // namespace engine::cache
