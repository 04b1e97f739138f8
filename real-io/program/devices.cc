#include "real-io/program/devices.h"

#include <utility>

#include <fmt/format.h>
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

std::optional<std::string> Devices::take_reason(std::string_view label) {
  const std::lock_guard lock{mutex_};
  const auto found = reasons_.find(label);
  if (found == reasons_.end()) return std::nullopt;
  auto reason = std::move(found->second);
  reasons_.erase(found);
  return reason;
}

engine::Failure Devices::refuse(std::string_view name, engine::Errc code, const char* what,
                                std::string reason) {
  spdlog::warn("{}", reason);
  const std::lock_guard lock{mutex_};
  reasons_.insert_or_assign(std::string{name}, std::move(reason));
  return engine::fail(code, 0, what);
}

engine::Result<engine::BlockDevice*> Devices::find_or_open(std::string_view name, OpenMode mode) {
  using engine::Errc;
  const engine::MutexLock opening{opening_};
  bool present = false;
  {
    const std::lock_guard lock{mutex_};
    if (const auto found = devices_.find(name); found != devices_.end()) {
      if (mode == OpenMode::read_only || found->second.mode == OpenMode::read_write) {
        found->second.device->take_growth();
        return found->second.device.get();
      }
      present = true;
    }
  }
  if (present)
    return refuse(
        name, Errc::not_permitted, "open for reading only",
        fmt::format("{}: open for reading only; to have it written, release it first", name));
  if (!name.starts_with('/'))
    return refuse(name, Errc::not_found, "no such device", fmt::format("{}: no such device", name));
  auto opened = open(std::string{name}, std::string{name}, mode, WhenBusy::refuse);
  if (!opened) return refuse(name, Errc::not_found, "no such device", std::move(opened.error()));
  return *opened;
}

}   // namespace wavetankd
