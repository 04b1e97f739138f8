#include "scenarios/cache/traffic.h"

#include <algorithm>

#include "engine/env/bio.h"
#include "scenarios/cache/volume_name.h"

namespace scenarios::cache {
namespace {

constexpr std::string_view kFast = "fast";
constexpr std::uint64_t kOpMask = 0xFF;

// Copies, and writes that fill a place which is nobody's yet: told by where they are sent from.
bool moves_a_block(const engine::Event& event) noexcept {
  const std::string_view file{event.where.file_name()};
  return file.ends_with("engine/cache/migration.cc") || file.ends_with("engine/io/copier.cc");
}

}   // namespace

void CacheTraffic::event(const engine::Event& event) noexcept {
  if (event.object == nullptr) return;
  const std::string_view device{event.object->name};
  if (event.op == engine::OpKind::bio_submit) {
    submitted(device, event);
  } else if (event.op == engine::OpKind::bio_complete && device == kName) {
    trouble_ = trouble_ || event.c != static_cast<std::uint64_t>(engine::Errc::ok);
  }
}

void CacheTraffic::submitted(std::string_view device, const engine::Event& event) noexcept {
  const bool is_cached = device == kName;
  if (!is_cached && (device != kFast || moves_a_block(event))) return;
  const std::uint64_t end = event.a + event.b;
  const std::uint32_t blocks = pieces(event.a, is_cached ? std::min(end, sectors_) : end);
  switch (static_cast<engine::BioOp>(event.c & kOpMask)) {
    case engine::BioOp::read:
      (is_cached ? counts_.reads : counts_.fast_reads) += blocks;
      break;
    case engine::BioOp::write:
      (is_cached ? counts_.writes : counts_.fast_writes) += blocks;
      break;
    case engine::BioOp::write_zeroes:
    case engine::BioOp::discard:
    case engine::BioOp::flush:
      break;
  }
}

std::uint32_t CacheTraffic::pieces(std::uint64_t sector, std::uint64_t sector_end) const noexcept {
  if (sector >= sector_end) return 0;
  return static_cast<std::uint32_t>((sector_end - 1) / block_sectors_ - sector / block_sectors_ +
                                    1);
}

}   // namespace scenarios::cache
