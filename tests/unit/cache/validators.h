// Which of the validators of a cache's metadata takes a block: for tests that change blocks and
// make their checksums right again.
#pragma once

#include <array>

#include "engine/cache/superblock_format.h"
#include "engine/pdata/array_format.h"
#include "engine/pdata/btree_format.h"

namespace engine::cache {

// Null: none does.
inline const pdata::Validator* validator_of(std::uint64_t block, ConstBytes bytes) {
  static constexpr std::array<const pdata::Validator*, 5> kAll{
      &pdata::kNodeValidator, &pdata::kBitmapValidator, &pdata::kIndexValidator,
      &pdata::kArrayValidator, &kCacheSuperblockValidator};
  for (const pdata::Validator* const validator : kAll) {
    if (validator->check(MetaBlock{block}, bytes)) return validator;
  }
  return nullptr;
}

}   // namespace engine::cache
