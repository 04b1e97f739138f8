// Failures in words for the user.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/result.h"

namespace wavetankd {

// "create_snap 5 77: no such origin (77): not found"
[[nodiscard]] std::string in_words(std::string_view what, const engine::Error& error);

}   // namespace wavetankd
