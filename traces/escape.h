// Text made fit for the formats that we write. Bytes that are no UTF-8 and control characters
// become U+FFFD, so what we write is always well formed.
#pragma once

#include <string>
#include <string_view>

namespace traces {

[[nodiscard]] std::string escape_xml(std::string_view text);
// Inside double quotes; also safe within an HTML <script>.
[[nodiscard]] std::string escape_json(std::string_view text);
[[nodiscard]] std::string escape_dot(std::string_view text);
// With each bad byte replaced; newlines and tabs stay.
[[nodiscard]] std::string well_formed(std::string_view text);

}   // namespace traces
