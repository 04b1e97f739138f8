// Events' and objects' kinds by name, as trace files and pictures have them.
#pragma once

#include <string_view>

#include "engine/fiber/event.h"

namespace traces {

[[nodiscard]] std::string_view name_of(engine::OpKind op) noexcept;
[[nodiscard]] std::string_view name_of(engine::ObjectKind kind) noexcept;

}   // namespace traces
