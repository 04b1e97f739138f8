// Bios waiting somewhere, linked through Bio::hook: no allocation, and a bio is on one list at
// most. A bio that is on a list must not be in flight: the device it is given to uses the same
// hook.
#pragma once

#include <boost/intrusive/list.hpp>

#include "engine/env/bio.h"

namespace engine::io {

using BioList =
    boost::intrusive::list<Bio, boost::intrusive::member_hook<Bio, Bio::Hook, &Bio::hook>,
                           boost::intrusive::constant_time_size<false>>;

}   // namespace engine::io
