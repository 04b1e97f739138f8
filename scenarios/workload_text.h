// Workloads as TOML. Reading is strict: an unknown key, a value out of range or a word that is no
// operation is refused with its line, and so is what could not work (limits.h).
#pragma once

#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "scenarios/workload.h"

namespace scenarios {

[[nodiscard]] std::string to_toml(const Workload& workload);
// The error is one line for the user: "line 12: ...".
[[nodiscard]] tl::expected<Workload, std::string> from_toml(std::string_view text);
[[nodiscard]] tl::expected<Operation, std::string> operation_from_text(std::string_view text);

}   // namespace scenarios
