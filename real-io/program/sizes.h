// Sizes as people write them: 4096, 64KiB, 10GiB, 128s (sectors).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

namespace wavetankd {

// In bytes. The error is one line that quotes `text`.
[[nodiscard]] tl::expected<std::uint64_t, std::string> parse_size(std::string_view text);

}   // namespace wavetankd
