#include "real-io/program/rehearsal.h"

namespace wavetankd {

engine::Result<engine::BlockDevice*> Rehearsal::find(std::string_view name) {
  using real_io::OverlayDevice;
  ENGINE_TRY_ASSIGN(engine::BlockDevice* const device, devices_.find(name));
  const std::lock_guard lock{mutex_};
  if (const auto found = overlays_.find(name); found != overlays_.end()) return found->second.get();
  const bool of_the_pool = name == "metadata";
  const bool of_a_cache = name.ends_with(".metadata");
  const auto writes =
      of_the_pool || of_a_cache ? OverlayDevice::Writes::keep : OverlayDevice::Writes::drop;
  auto overlay =
      std::make_unique<OverlayDevice>(*device, writes, of_the_pool ? metadata_sectors_min_ : 0);
  return overlays_.emplace(std::string{name}, std::move(overlay)).first->second.get();
}

}   // namespace wavetankd
