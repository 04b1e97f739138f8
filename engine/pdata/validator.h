// The block types of the metadata device. Each has a checksum (CRC-32C of bytes [4, 4096), not
// inverted, xor a constant of the type) at offset 0 and its own block number at offset 8, or 16 for
// blocks of arrays. The type is not stored: whoever points at a block knows it.
#pragma once

#include <cstdint>

#include "engine/base/bytes.h"
#include "engine/base/result.h"
#include "engine/base/units.h"

namespace engine::pdata {

// Types with rules of their own derive and override check_content(): it runs after checksum and
// number, on every read from the device, possibly in completion context. It must not suspend.
// Two validators are the same type exactly if their salts are equal.
class Validator {
 public:
  constexpr Validator(const char* name, std::uint32_t salt,
                      std::uint32_t number_offset = 8) noexcept
      : name_{name}, salt_{salt}, number_offset_{number_offset} {}
  constexpr virtual ~Validator() {}   // g++ 12 wants a body here for constants
  Validator(const Validator&) = delete;
  Validator& operator=(const Validator&) = delete;

  // Of a whole block just read. Errors: corrupt, naming block and field.
  [[nodiscard]] Result<void> check(MetaBlock block, ConstBytes bytes) const;
  // Fills in number and checksum of a block about to be written.
  void prepare(MetaBlock block, MutableBytes bytes) const noexcept;

  [[nodiscard]] const char* name() const noexcept { return name_; }
  [[nodiscard]] std::uint32_t salt() const noexcept { return salt_; }

 protected:
  [[nodiscard]] virtual Result<void> check_content(MetaBlock /*block*/,
                                                   ConstBytes /*bytes*/) const {
    return {};
  }

 private:
  const char* name_;
  std::uint32_t salt_;
  std::uint32_t number_offset_;
};

inline constexpr std::uint32_t kSuperblockSalt = 160774;
inline constexpr std::uint32_t kBtreeNodeSalt = 121107;
inline constexpr std::uint32_t kIndexSalt = 160478;
inline constexpr std::uint32_t kBitmapSalt = 240779;

// Number and checksum only. The B-tree's node validator, with its sanity rules, is in
// btree_format.h; whoever interprets a superblock's fields checks them.
inline constexpr Validator kSuperblockValidator{"superblock", kSuperblockSalt};
inline constexpr Validator kIndexValidator{"metadata index", kIndexSalt};
inline constexpr Validator kBitmapValidator{"bitmap", kBitmapSalt};

}   // namespace engine::pdata
