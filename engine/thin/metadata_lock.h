// Internal to thin::Metadata: what happens when a change fails in the middle.
#pragma once

#include <utility>

#include "engine/thin/metadata_core.h"

namespace engine::thin {

// Hands on the result of a change that had begun. If it failed the transaction holds half of it:
// until an abort every further change and commit fails with the same error.
template <typename T>
Result<T> breaking(MetadataCore& core, Result<T> result) {
  if (!result) [[unlikely]] {
    // Within a change, a key that was there a moment ago and is gone means damaged trees.
    Error error = result.error();
    if (error.code == Errc::not_found) error.code = Errc::corrupt;
    core.broken = error;
    return Failure{error};
  }
  return result;
}

}   // namespace engine::thin
