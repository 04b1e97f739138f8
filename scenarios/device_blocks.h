// A mapped device as an image: its blocks are read when they are asked for.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "checkers/image/block_source.h"
#include "engine/dm/system.h"

namespace scenarios {

class DeviceBlocks final : public checkers::image::BlockSource {
 public:
  // Null: there is no such device. It stays open as long as this lives.
  [[nodiscard]] static std::unique_ptr<DeviceBlocks> open(engine::dm::System& system,
                                                          const std::string& device);
  explicit DeviceBlocks(engine::io::DeviceRef device) : device_{std::move(device)} {}

  // Suspends.
  [[nodiscard]] bool read(std::uint64_t block, checkers::image::BlockBytes out) override;
  [[nodiscard]] std::uint64_t nr_blocks() const override;

 private:
  engine::io::DeviceRef device_;
};

}   // namespace scenarios
