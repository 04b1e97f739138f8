// Messages to a pool that can be told from their text never to be taken.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace wavetankd {

// What is wrong with it; none where the pool alone can say.
[[nodiscard]] std::optional<std::string> wrong_with_message(std::string_view text);

}   // namespace wavetankd
