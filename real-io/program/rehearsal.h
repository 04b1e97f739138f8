// The devices of a start that is tried out before it is made for real: what is written to metadata
// stays in memory, and what is written elsewhere is forgotten, since nothing that a start decides
// comes from there. So whatever a pool or a cache has to refuse, it refuses with every device as it
// was.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "engine/env/env.h"
#include "real-io/overlay_device.h"

namespace wavetankd {

class Rehearsal final : public engine::DeviceDirectory {
 public:
  // Over `devices`, which are open. The pool's metadata device is at least as long as said, to see
  // what would do.
  explicit Rehearsal(engine::DeviceDirectory& devices, std::uint64_t metadata_sectors_min = 0)
      : devices_{devices}, metadata_sectors_min_{metadata_sectors_min} {}

  // Any thread.
  [[nodiscard]] engine::Result<engine::BlockDevice*> find(std::string_view name) override;

 private:
  engine::DeviceDirectory& devices_;
  const std::uint64_t metadata_sectors_min_;
  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<real_io::OverlayDevice>, std::less<>>
      overlays_;   // guarded by mutex_
};

}   // namespace wavetankd
