#include "real-io/nbd/export.h"

#include <algorithm>

#include "real-io/nbd/protocol.h"

namespace real_io::nbd {

ExportFacts facts_of(const Export& exported) {
  const engine::DeviceLimits limits = exported.device->limits();
  ExportFacts facts{.name = exported.name, .description = exported.description};
  facts.size_bytes = limits.sectors << engine::kSectorShift;
  facts.block_bytes_min = limits.logical_block_sectors << engine::kSectorShift;
  facts.block_bytes_preferred =
      std::clamp(exported.block_bytes_preferred, facts.block_bytes_min, kRequestBytesMax);
  // A flush reaches all that any connection was told is written: hence multi-conn.
  facts.flags = kHasFlags | kSendFlush | kSendFua | kSendDf | kCanMultiConn;
  if (exported.read_only) {
    facts.flags |= kReadOnly;
  } else {
    facts.flags |= kSendWriteZeroes;
    if (limits.discard_sectors_max != 0) facts.flags |= kSendTrim;
  }
  return facts;
}

}   // namespace real_io::nbd
