// A block device over a file or a real block device, through the io_uring of whichever reactor
// submits: nothing is shared between reactors on the way down or up.
//
// The file is registered with each ring at its first use there. Transfers that the kernel cuts
// short go on where it stopped. Destroying the device never suspends and needs every bio to have
// ended; the reactors let go of the file on their own time.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "engine/env/block_device.h"
#include "real-io/file_handle.h"
#include "real-io/uring_executor.h"

namespace real_io {

class BlockingHelper;

class UringDevice final : public engine::BlockDevice {
 public:
  // Opens `path`, locked against a second opening. The error is one line for the user.
  [[nodiscard]] static tl::expected<std::unique_ptr<UringDevice>, std::string> open(
      UringExecutor& executor, const std::string& path, OpenMode mode = OpenMode::read_write,
      WhenBusy when_busy = WhenBusy::wait_on_thread);
  ~UringDevice() override;

  [[nodiscard]] engine::DeviceLimits limits() const noexcept override;
  // Any thread. Where the file has become longer, so does the device; never shorter, as somebody
  // may stand on it.
  void take_growth() noexcept;
  // The device ends there from now on, and no later than its file; for tests of growing devices.
  void use_only(std::uint64_t sectors) noexcept;
  [[nodiscard]] const FileHandle::Facts& facts() const noexcept;
  [[nodiscard]] const std::string& path() const noexcept;

 protected:
  void do_submit(engine::Bio& bio) override;

 private:
  class Core;
  struct Transfer;
  struct Share;
  UringDevice(UringExecutor& executor, FileHandle file);

  UringExecutor& executor_;
  std::shared_ptr<Core> core_;
};

}   // namespace real_io
