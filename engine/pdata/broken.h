// What happens when a change of metadata fails in the middle.
#pragma once

#include <utility>

#include "engine/base/result.h"

namespace engine::pdata {

// Hands on the result of a change that had begun. If it failed the transaction holds half of it:
// until an abort every further change and commit fails with the same error, which `core.broken`
// keeps.
template <typename Core, typename T>
Result<T> breaking(Core& core, Result<T> result) {
  if (!result) [[unlikely]] {
    // Within a change, a key that was there a moment ago and is gone means damaged trees.
    Error error = result.error();
    if (error.code == Errc::not_found) error.code = Errc::corrupt;
    core.broken = error;
    return Failure{error};
  }
  return result;
}

}   // namespace engine::pdata
