// Internal to thin::Metadata: what happens when a change fails in the middle.
#pragma once

#include "engine/pdata/broken.h"

namespace engine::thin {

using pdata::breaking;

}   // namespace engine::thin
