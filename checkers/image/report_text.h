// A thin report for people and for programs.
#pragma once

#include <string>
#include <string_view>

#include "checkers/image/thin_check.h"

namespace checkers::image {

// A line of summary, a line for each kept finding, a line of verdict.
[[nodiscard]] std::string render_text(const ThinReport& report, std::string_view image);

// One JSON object with the same content; the form is in docs/format/checker.md.
[[nodiscard]] std::string render_json(const ThinReport& report, std::string_view image);

}   // namespace checkers::image
