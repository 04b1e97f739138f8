#include "engine/base/crc32c.h"

#include <isa-l/crc.h>

namespace engine {

std::uint32_t crc32c_uninverted(ConstBytes bytes) noexcept {
  // isa-l takes a non-const pointer and never writes through it; its crc32_iscsi neither presets
  // nor inverts.
  auto* data = const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(bytes.data()));
  return crc32_iscsi(data, static_cast<int>(bytes.size()), 0xFFFFFFFFU);
}

}   // namespace engine
