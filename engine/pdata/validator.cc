#include "engine/pdata/validator.h"

#include "engine/base/check.h"
#include "engine/base/crc32c.h"

namespace engine::pdata {

namespace {

std::uint32_t checksum(ConstBytes bytes, std::uint32_t salt) noexcept {
  return crc32c_uninverted(bytes.subspan(sizeof(Le32))) ^ salt;
}

}   // namespace

Result<void> Validator::check(MetaBlock block, ConstBytes bytes) const {
  ENGINE_CHECK(bytes.size() == kMetaBlockSize);
  if (view_as<Le32>(bytes).value() != checksum(bytes, salt_))
    return fail(Errc::corrupt, block.value(), "block checksum");
  if (view_as<Le64>(bytes.subspan(number_offset_)).value() != block.value())
    return fail(Errc::corrupt, block.value(), "block number stored in the block");
  return check_content(block, bytes);
}

void Validator::prepare(MetaBlock block, MutableBytes bytes) const noexcept {
  auto& number = view_as<Le64>(bytes.subspan(number_offset_));
  // Readers may look at the number meanwhile; of a block that has it already it is not touched.
  if (number.value() != block.value()) number = block.value();
  view_as<Le32>(bytes) = checksum(bytes, salt_);
}

}   // namespace engine::pdata
