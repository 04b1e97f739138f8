// Failures in words for the user.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/result.h"

namespace wavetankd {

// `text` on one line, whatever a user has put into it: control characters as \xNN.
[[nodiscard]] std::string printable(std::string_view text);

// "create_snap 5 77: no such origin (77): not found"
[[nodiscard]] std::string in_words(std::string_view what, const engine::Error& error);

}   // namespace wavetankd
