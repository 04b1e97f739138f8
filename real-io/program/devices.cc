#include "real-io/program/devices.h"

#include <utility>

#include <spdlog/spdlog.h>

namespace wavetankd {

tl::expected<real_io::UringDevice*, std::string> Devices::open(const std::string& label,
                                                               const std::string& path) {
  auto device = real_io::UringDevice::open(executor_, path);
  if (!device) return tl::unexpected{std::move(device.error())};
  if ((*device)->facts().caching == real_io::Caching::buffered)
    spdlog::warn("{}: no direct I/O on this file system; going on through the page cache", path);
  const std::lock_guard lock{mutex_};
  return (devices_[label] = *std::move(device)).get();
}

bool Devices::release(std::string_view label) {
  const std::lock_guard lock{mutex_};
  const auto found = devices_.find(label);
  if (found == devices_.end()) return false;
  devices_.erase(found);
  return true;
}

engine::Result<engine::BlockDevice*> Devices::find(std::string_view name) {
  {
    const std::lock_guard lock{mutex_};
    if (const auto found = devices_.find(name); found != devices_.end()) return found->second.get();
  }
  if (!name.starts_with('/')) return engine::fail(engine::Errc::not_found, 0, "no such device");
  auto opened = open(std::string{name}, std::string{name});
  if (!opened) {
    spdlog::warn("{}", opened.error());
    return engine::fail(engine::Errc::not_found, 0, "no such device");
  }
  return *opened;
}

}   // namespace wavetankd
