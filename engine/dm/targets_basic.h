// The plain targets: linear, error and zero.
#pragma once

#include "engine/io/target.h"

namespace engine::dm {

// linear <device> <first sector>: a range of another device.
class LinearType final : public io::TargetType {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "linear"; }
  Result<std::unique_ptr<io::Target>> create(const io::TargetContext& context,
                                             const io::TargetArgs& args) override;
};

// error: everything fails.
class ErrorType final : public io::TargetType {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "error"; }
  Result<std::unique_ptr<io::Target>> create(const io::TargetContext& context,
                                             const io::TargetArgs& args) override;
};

// zero: reads as zeroes; what is written is forgotten.
class ZeroType final : public io::TargetType {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "zero"; }
  Result<std::unique_ptr<io::Target>> create(const io::TargetContext& context,
                                             const io::TargetArgs& args) override;
};

}   // namespace engine::dm
