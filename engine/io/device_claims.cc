#include "engine/io/device_claims.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/io/target.h"

namespace engine::io {
namespace {

// Several may use it in these ways at the same time.
bool is_shared(DeviceRole role) noexcept {
  return role == DeviceRole::linear || role == DeviceRole::external_origin;
}

const char* refusal_of(DeviceRole held) noexcept {
  switch (held) {
    case DeviceRole::pool_metadata:
      return "device already in use as the metadata device of a pool";
    case DeviceRole::pool_data:
      return "device already in use as the data device of a pool";
    case DeviceRole::cache_metadata:
      return "device already in use as the metadata device of a cache";
    case DeviceRole::cache_fast:
      return "device already in use as the cache device of another cache";
    case DeviceRole::cache_origin:
      return "device already in use as the origin of another cache";
    case DeviceRole::linear:
      return "device already in use by a linear device";
    case DeviceRole::external_origin:
      return "device already in use as the external origin of a thin device";
  }
  return "";
}

bool overlap(const ClaimRequest& a, const ClaimRequest& b) noexcept {
  const std::uint64_t first = std::max(a.begin.value(), b.begin.value());
  // The one that begins first reaches to where the other begins, or further.
  return first - a.begin.value() < a.sectors && first - b.begin.value() < b.sectors;
}

}   // namespace

DeviceClaim::~DeviceClaim() {
  if (claims_ != nullptr) claims_->release(number_);
}

DeviceClaims::~DeviceClaims() {
  ENGINE_CHECK_ALIVE(held_.empty(), "{} claims are held when the devices go", held_.size());
}

bool DeviceClaims::compatible(const ClaimRequest& held, const ClaimRequest& wanted) {
  if (held.device != wanted.device || !overlap(held, wanted)) return true;
  if (is_shared(held.role) && is_shared(wanted.role)) return true;
  const bool one_is_linear = held.role == DeviceRole::linear || wanted.role == DeviceRole::linear;
  if (one_is_linear && held.owner == wanted.owner) return true;
  return held.role == wanted.role && held.metadata == wanted.metadata;
}

Result<DeviceClaim> DeviceClaims::claim(const ClaimRequest& request) {
  const RawGuard guard{lock_};
  also_touches(object_);
  const auto in_the_way = std::find_if(held_.begin(), held_.end(), [&](const Held& held) {
    return !compatible(held.what, request);
  });
  if (in_the_way != held_.end()) return fail(Errc::busy, 0, refusal_of(in_the_way->what.role));
  held_.push_back({request, ++last_number_});
  return DeviceClaim{*this, last_number_};
}

void DeviceClaims::release(std::uint64_t number) noexcept {
  const RawGuard guard{lock_};
  also_touches(object_);
  const auto found = std::find_if(held_.begin(), held_.end(),
                                  [&](const Held& held) { return held.number == number; });
  ENGINE_CHECK_ALIVE(found != held_.end(), "a claim is let go that nobody holds");
  *found = held_.back();
  held_.pop_back();
}

Result<DeviceClaim> TargetContext::claim(const DeviceRef& device, DeviceRole role,
                                         const DeviceRef& metadata) const {
  return claims.claim(
      {.device = &device.device(), .role = role, .owner = &owner, .metadata = &metadata.device()});
}

}   // namespace engine::io
