#include "real-io/program/devices.h"

#include <utility>

#include <spdlog/spdlog.h>

namespace wavetankd {

using real_io::OpenMode;
using real_io::WhenBusy;

tl::expected<real_io::UringDevice*, std::string> Devices::open(const std::string& label,
                                                               const std::string& path,
                                                               OpenMode mode, WhenBusy when_busy) {
  auto device = real_io::UringDevice::open(executor_, path, mode, when_busy);
  if (!device) return tl::unexpected{std::move(device.error())};
  if ((*device)->facts().caching == real_io::Caching::buffered)
    spdlog::warn("{}: no direct I/O on this file system; going on through the page cache", path);
  const std::lock_guard lock{mutex_};
  Plain& plain = devices_[label];
  plain = Plain{*std::move(device), mode};
  return plain.device.get();
}

bool Devices::release(std::string_view label) {
  const std::lock_guard lock{mutex_};
  const auto found = devices_.find(label);
  if (found == devices_.end()) return false;
  devices_.erase(found);
  return true;
}

bool Devices::has(std::string_view label) {
  const std::lock_guard lock{mutex_};
  return devices_.contains(label);
}

engine::Result<engine::BlockDevice*> Devices::find_or_open(std::string_view name, OpenMode mode) {
  {
    const std::lock_guard lock{mutex_};
    if (const auto found = devices_.find(name); found != devices_.end()) {
      if (mode == OpenMode::read_only || found->second.mode == OpenMode::read_write)
        return found->second.device.get();
      spdlog::warn("{}: open for reading only; to have it written, release it first", name);
      return engine::fail(engine::Errc::not_permitted, 0, "open for reading only");
    }
  }
  if (!name.starts_with('/')) return engine::fail(engine::Errc::not_found, 0, "no such device");
  auto opened = open(std::string{name}, std::string{name}, mode, WhenBusy::refuse);
  if (!opened) {
    spdlog::warn("{}", opened.error());
    return engine::fail(engine::Errc::not_found, 0, "no such device");
  }
  return *opened;
}

}   // namespace wavetankd
