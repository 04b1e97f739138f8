#include "engine/dm/targets_basic.h"

#include <charconv>
#include <cstring>
#include <limits>

#include <fmt/format.h>

namespace engine::dm {
namespace {

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint32_t>::max();

class Linear final : public io::Target {
 public:
  Linear(const io::TargetArgs& args, io::DeviceRef device, io::DeviceClaim claim,
         Sector offset) noexcept
      : Target{args.begin, args.sectors},
        device_{std::move(device)},
        claim_{std::move(claim)},
        offset_{offset} {}

  io::MapResult map(io::MappedBio& bio) override {
    bio.remap(device_.device(), offset_ + bio.sector.value());
    return io::MapResult::remapped;
  }
  [[nodiscard]] std::string table_line() const override {
    return fmt::format("{} {}", device_.name(), offset_);
  }
  [[nodiscard]] io::TargetLimits limits() const noexcept override {
    const DeviceLimits below = device_.device().limits();
    return {.discard_sectors_max = below.discard_sectors_max,
            .discard_granularity_sectors = below.discard_granularity_sectors,
            .transfer_sectors_max = below.transfer_sectors_max,
            .logical_block_sectors = below.logical_block_sectors,
            .write_zeroes = true};
  }
  void for_each_device(const std::function<void(const io::DeviceRef&)>& visit) const override {
    visit(device_);
  }
  [[nodiscard]] std::string_view type_name() const noexcept override { return "linear"; }

 private:
  io::DeviceRef device_;
  io::DeviceClaim claim_;   // goes before the device does
  Sector offset_;
};

class ErrorTarget final : public io::Target {
 public:
  using Target::Target;
  io::MapResult map(io::MappedBio&) override { return io::MapResult::kill; }
  [[nodiscard]] std::string table_line() const override { return {}; }
  [[nodiscard]] io::TargetLimits limits() const noexcept override {
    return {.transfer_sectors_max = kNoLimit, .write_zeroes = true};
  }
  [[nodiscard]] std::string_view type_name() const noexcept override { return "error"; }
};

class Zero final : public io::Target {
 public:
  using Target::Target;
  io::MapResult map(io::MappedBio& bio) override {
    if (bio.op == BioOp::read) std::memset(bio.data, 0, bio.size_bytes());
    bio.end(Errc::ok);
    return io::MapResult::submitted;
  }
  [[nodiscard]] std::string table_line() const override { return {}; }
  [[nodiscard]] io::TargetLimits limits() const noexcept override {
    return {.transfer_sectors_max = kNoLimit, .write_zeroes = true};
  }
  [[nodiscard]] std::string_view type_name() const noexcept override { return "zero"; }
};

}   // namespace

Result<std::unique_ptr<io::Target>> LinearType::create(const io::TargetContext& context,
                                                       const io::TargetArgs& args) {
  if (args.words.size() != 2)
    return fail(Errc::invalid, args.words.size(), "Invalid argument count");
  const std::string_view word = args.words[1];
  std::uint64_t offset = 0;
  const char* const end = word.data() + word.size();
  const auto [stop, problem] = std::from_chars(word.data(), end, offset);
  if (problem != std::errc{} || stop != end) return fail(Errc::invalid, 0, "Invalid device sector");
  auto device = context.devices.open(args.words[0]);
  if (!device) return fail(device.error().code, 0, "Device lookup failed");
  const std::uint64_t below = device->device().limits().sectors;
  if (offset > below || args.sectors > below - offset)
    return fail(Errc::invalid, below, "device too small for target");
  ENGINE_TRY_ASSIGN(io::DeviceClaim claim, context.claims.claim({.device = &device->device(),
                                                                 .role = io::DeviceRole::linear,
                                                                 .owner = &context.owner,
                                                                 .begin = Sector{offset},
                                                                 .sectors = args.sectors}));
  return std::make_unique<Linear>(args, *std::move(device), std::move(claim), Sector{offset});
}

Result<std::unique_ptr<io::Target>> ErrorType::create(const io::TargetContext&,
                                                      const io::TargetArgs& args) {
  if (!args.words.empty()) return fail(Errc::invalid, args.words.size(), "Invalid argument count");
  return std::make_unique<ErrorTarget>(args.begin, args.sectors);
}

Result<std::unique_ptr<io::Target>> ZeroType::create(const io::TargetContext&,
                                                     const io::TargetArgs& args) {
  if (!args.words.empty()) return fail(Errc::invalid, args.words.size(), "No arguments required");
  return std::make_unique<Zero>(args.begin, args.sectors);
}

}   // namespace engine::dm
