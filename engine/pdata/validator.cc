#include "engine/pdata/validator.h"

#include "engine/base/check.h"
#include "engine/base/crc32c.h"

namespace engine::pdata {

namespace {

struct BlockHeaderDisk {
  Le32 checksum;
  Le32 of_the_type;   // flags, or unused
  Le64 block;
};
static_assert(sizeof(BlockHeaderDisk) == 16 && alignof(BlockHeaderDisk) == 1);

std::uint32_t checksum(ConstBytes bytes, std::uint32_t salt) noexcept {
  return crc32c_uninverted(bytes.subspan(sizeof(Le32))) ^ salt;
}

}   // namespace

Result<void> Validator::check(MetaBlock block, ConstBytes bytes) const {
  ENGINE_CHECK(bytes.size() == kMetaBlockSize);
  const auto& header = view_as<BlockHeaderDisk>(bytes);
  if (header.checksum.value() != checksum(bytes, salt_))
    return fail(Errc::corrupt, block.value(), "block checksum");
  if (header.block.value() != block.value())
    return fail(Errc::corrupt, block.value(), "block number stored in the block");
  return check_content(block, bytes);
}

void Validator::prepare(MetaBlock block, MutableBytes bytes) const noexcept {
  auto& header = view_as<BlockHeaderDisk>(bytes);
  // Readers may look at the number meanwhile; of a block that has it already it is not touched.
  if (header.block.value() != block.value()) header.block = block.value();
  header.checksum = checksum(bytes, salt_);
}

}   // namespace engine::pdata
