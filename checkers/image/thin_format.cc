#include "checkers/image/thin_format.h"

#include <isa-l/crc.h>

namespace checkers::image::thin_format {

std::uint32_t checksum(const std::byte* block, std::uint32_t salt) {
  // The library's parameter is not const, though it only reads.
  auto* bytes = reinterpret_cast<unsigned char*>(const_cast<std::byte*>(block));
  return crc32_iscsi(bytes + 4, 4096 - 4, 0xffffffffU) ^ salt;
}

}   // namespace checkers::image::thin_format
