// Bios waiting somewhere, linked through Bio::hook: no allocation, and a bio is on one list at
// most. A bio that is on a list must not be in flight: the device it is given to uses the same
// hook.
#pragma once

#include <boost/intrusive/list.hpp>

#include "engine/env/bio.h"
#include "engine/io/target.h"

namespace engine::io {

using BioList =
    boost::intrusive::list<Bio, boost::intrusive::member_hook<Bio, Bio::Hook, &Bio::hook>,
                           boost::intrusive::constant_time_size<false>>;

// Takes the first off a list of mapped bios, which is not empty.
[[nodiscard]] inline MappedBio& pop(BioList& bios) noexcept {
  Bio& bio = bios.front();
  bios.pop_front();
  return MappedBio::from(bio);
}

}   // namespace engine::io
