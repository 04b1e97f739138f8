// Reports for people and for programs.
#pragma once

#include <string>
#include <string_view>

#include "checkers/image/cache_check.h"
#include "checkers/image/thin_check.h"

namespace checkers::image {

// A line of summary, a line for each kept finding, a line of verdict.
[[nodiscard]] std::string render_text(const ThinReport& report, std::string_view image);
[[nodiscard]] std::string render_text(const CacheReport& report, std::string_view image);

// One JSON object with the same content; the forms are in docs/format/checker.md and
// cache-checker.md.
[[nodiscard]] std::string render_json(const ThinReport& report, std::string_view image);
[[nodiscard]] std::string render_json(const CacheReport& report, std::string_view image);

// Blocks that are stored as dirty.
[[nodiscard]] std::uint64_t count_dirty(const CacheReport& report);

}   // namespace checkers::image
