#include "real-io/program/numbers.h"

#include <cmath>
#include <string>

#include <fmt/format.h>

#include "engine/io/words.h"

namespace wavetankd {

// A validator answers what is wrong; what it leaves in `text` is what CLI11 converts.
CLI::Validator whole_number(std::uint64_t min, std::uint64_t max) {
  return {[min, max](std::string& text) -> std::string {
            const auto number = engine::io::parse_number(text);
            if (!number || *number < min || *number > max)
              return fmt::format("'{}' is no whole number from {} to {}", text, min, max);
            text = fmt::format("{}", *number);
            return {};
          },
          ""};
}

CLI::Validator seconds() {
  return {[](std::string& text) -> std::string {
            double number = 0;
            if (CLI::detail::lexical_cast(text, number) && std::isfinite(number) && number >= 0)
              return {};
            return fmt::format("'{}' is no number of seconds", text);
          },
          ""};
}

}   // namespace wavetankd
