// The name of a device, which a rename may change while others read it. Every name it ever had
// lives as long as the device, so that a view of one stays good.
#pragma once

#include <atomic>
#include <cstddef>
#include <forward_list>
#include <string>
#include <string_view>
#include <utility>

namespace engine::dm {

// What is wrong with `name` as a device's; null where nothing is. Tables, status lines and whatever
// takes them apart need names that are one word on one line, and mean something by '/' and ';'.
[[nodiscard]] constexpr const char* wrong_with_device_name(std::string_view name) noexcept {
  constexpr std::size_t kBytesMax = 127;   // as in Linux
  if (name.empty()) return "an empty name";
  if (name.size() > kBytesMax) return "a name has at most 127 bytes";
  if (name == "." || name == "..") return "not a name";
  for (const char each : name) {
    if (static_cast<unsigned char>(each) <= ' ' || each == '\x7f')
      return "a blank or a control character in a name";
    if (each == '/' || each == ';') return "a slash or a semicolon in a name";
  }
  return nullptr;
}

class DeviceName {
 public:
  explicit DeviceName(std::string name)
      : first_{names_.emplace_front(std::move(name))}, current_{&first_} {}
  DeviceName(const DeviceName&) = delete;
  DeviceName& operator=(const DeviceName&) = delete;

  [[nodiscard]] std::string_view get() const noexcept {
    return *current_.load(std::memory_order_acquire);
  }
  // The one it was made with.
  [[nodiscard]] const char* first() const noexcept { return first_.c_str(); }
  // One at a time.
  void set(std::string name) {
    current_.store(&names_.emplace_front(std::move(name)), std::memory_order_release);
  }

 private:
  std::forward_list<std::string> names_;   // the latest first
  const std::string& first_;
  std::atomic<const std::string*> current_;
};

}   // namespace engine::dm
