// CRC-32C as the persistent-data formats use it: register preset to all ones, no final inversion.
#pragma once

#include <cstdint>

#include "engine/base/bytes.h"

namespace engine {

// The uninverted CRC-32C of `bytes`; of ASCII "123456789" it is 0x1CF96D7C.
[[nodiscard]] std::uint32_t crc32c_uninverted(ConstBytes bytes) noexcept;

}   // namespace engine
