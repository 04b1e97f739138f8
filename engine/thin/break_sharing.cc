// Writing to a block that another device may share: the writer gets a block of its own.
#include "engine/thin/pool.h"

namespace engine::thin {

// The old block is copied, but for what the bio overwrites. It loses our reference when the mapping
// is inserted, and may be allocated to somebody else after the next commit; so reads of it that are
// in flight on our behalf must have ended by then.
void Pool::break_sharing(ThinDevice& thin, PoolCell& cell, const Mapping& old) {
  NewMapping* const mapping = begin_mapping(thin, cell);
  if (mapping == nullptr) return;
  if (!overwrites_block(cell.bio()))
    add_fill(*mapping, &data_, Sector{old.block.value() * block_sectors_}, 0, block_sectors_);
  wait_for_shared_reads(*mapping);
  start_mapping(*mapping);
}

void Pool::wait_for_shared_reads(NewMapping& mapping) {
  mapping.quiesced.owner = &mapping;
  mapping.quiesced.run = [](io::DeferredWork& work) {
    mapping_action_done(*static_cast<NewMapping*>(work.owner), Errc::ok);
  };
  mapping.missing.fetch_add(1);
  if (!shared_reads_.defer(mapping.quiesced)) mapping.missing.fetch_sub(1);
}

}   // namespace engine::thin
