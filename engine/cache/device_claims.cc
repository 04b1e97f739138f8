#include "engine/cache/device_claims.h"

#include <algorithm>

#include "engine/base/check.h"

namespace engine::cache {
namespace {

const char* refusal_of(DeviceRole role) noexcept {
  switch (role) {
    case DeviceRole::metadata:
      return "device already in use as the metadata device of a cache";
    case DeviceRole::fast:
      return "device already in use as the cache device of another cache";
    case DeviceRole::origin:
      return "device already in use as the origin of another cache";
  }
  return "";
}

}   // namespace

DeviceClaim::~DeviceClaim() {
  if (claims_ != nullptr) claims_->release(*device_);
}

DeviceClaims::~DeviceClaims() {
  ENGINE_CHECK_ALIVE(held_.empty(), "{} devices are claimed when their claims go", held_.size());
}

Result<DeviceClaim> DeviceClaims::claim(const BlockDevice& device, const BlockDevice& metadata,
                                        DeviceRole role) {
  const RawGuard guard{lock_};
  const auto found = std::find_if(held_.begin(), held_.end(),
                                  [&](const Held& held) { return held.device == &device; });
  if (found == held_.end()) {
    held_.push_back({&device, &metadata, role, 1});
  } else if (found->metadata == &metadata && found->role == role) {
    ++found->claims;
  } else {
    return fail(Errc::busy, 0, refusal_of(found->role));
  }
  return DeviceClaim{*this, device};
}

void DeviceClaims::release(const BlockDevice& device) noexcept {
  const RawGuard guard{lock_};
  const auto found = std::find_if(held_.begin(), held_.end(),
                                  [&](const Held& held) { return held.device == &device; });
  ENGINE_CHECK_ALIVE(found != held_.end(), "a device is let go that nobody has claimed");
  if (--found->claims == 0) held_.erase(found);
}

}   // namespace engine::cache
