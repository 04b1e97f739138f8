#include "scenarios/device_blocks.h"

#include <cstring>

#include "engine/env/buffer.h"

namespace scenarios {
namespace {

constexpr std::uint64_t kSectors = checkers::image::kImageBlockSize >> engine::kSectorShift;

}   // namespace

std::unique_ptr<DeviceBlocks> DeviceBlocks::open(engine::dm::System& system,
                                                 const std::string& device) {
  engine::Result<engine::io::DeviceRef> opened = system.open(device);
  return opened ? std::make_unique<DeviceBlocks>(*std::move(opened)) : nullptr;
}

std::uint64_t DeviceBlocks::nr_blocks() const {
  return device_.device().limits().sectors / kSectors;
}

bool DeviceBlocks::read(std::uint64_t block, checkers::image::BlockBytes out) {
  if (block >= nr_blocks()) return false;
  engine::AlignedBuffer buffer{out.size()};
  engine::Bio bio;
  bio.op = engine::BioOp::read;
  bio.sector = engine::Sector{block * kSectors};
  bio.sectors = kSectors;
  bio.data = buffer.data();
  if (!engine::submit_and_wait(device_.device(), bio)) return false;
  std::memcpy(out.data(), buffer.data(), out.size());
  return true;
}

}   // namespace scenarios
