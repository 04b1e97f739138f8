// Block 0 of a metadata device, before anyone knows what is in it.
#pragma once

#include <algorithm>

#include "engine/base/result.h"
#include "engine/base/units.h"
#include "engine/env/block_device.h"
#include "engine/env/buffer.h"

namespace engine::pdata {

// Suspends. As it is on the device, past every cache and unchecked. Errors: io_error, power_lost.
inline Result<AlignedBuffer> read_superblock(BlockDevice& device) {
  AlignedBuffer buffer{kMetaBlockSize};
  Bio bio;
  bio.op = BioOp::read;
  bio.sectors = kMetaBlockSectors;
  bio.data = buffer.data();
  ENGINE_TRY(submit_and_wait(device, bio));
  return buffer;
}

// What has never been formatted.
[[nodiscard]] inline bool blank(ConstBytes bytes) noexcept {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

}   // namespace engine::pdata
