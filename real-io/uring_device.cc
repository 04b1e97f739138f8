#include "real-io/uring_device.h"

#include <algorithm>
#include <atomic>
#include <cerrno>

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>

#include "engine/base/check.h"
#include "engine/env/buffer.h"
#include "real-io/blocking_helper.h"

namespace real_io {

using engine::Bio;
using engine::BioOp;
using engine::Errc;
using engine::kSectorShift;

namespace {

constexpr std::uint64_t kTransferBytesMax = std::uint64_t{32} << 20;
constexpr std::uint64_t kDiscardBytesMax = std::uint64_t{1} << 30;
// Zeroes up to this length are written: quicker than changing extents, and the next write finds
// them in place.
constexpr std::uint64_t kZeroBufferBytes = std::uint64_t{256} << 10;

constexpr int kPunch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
constexpr int kZero = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;

Errc to_errc(std::int32_t result) noexcept {
  switch (-result) {
    case ENODEV:
    case ENXIO:
      return Errc::power_lost;   // unplugged
    case EOPNOTSUPP:
      return Errc::not_supported;
    case ENOSPC:
    case EDQUOT:
      return Errc::no_data_space;   // a file with holes on a full file system
    default:
      return Errc::io_error;
  }
}

const std::byte* zeroes() noexcept {
  static const engine::AlignedBuffer kBuffer{kZeroBufferBytes};
  return kBuffer.data();
}

}   // namespace

// One bio under way. What it does next is in `step`; `done` counts bytes.
struct UringDevice::Transfer : Operation {
  enum class Step : std::uint8_t { read, write, write_zeroes, zero_range, punch, flush };
  UringDevice* device = nullptr;
  Share* share = nullptr;
  Bio* bio = nullptr;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  std::uint64_t done_bytes = 0;
  Step step = Step::flush;
  bool sync_after = false;   // a flush follows, to make it durable
};

// What one reactor keeps of a device.
struct alignas(64) UringDevice::Share {
  int file_slot = kUnknown;
  std::vector<std::unique_ptr<Transfer>> all;
  std::vector<Transfer*> free;
  std::uint64_t in_flight = 0;
  static constexpr int kUnknown = -2;
};

class UringDevice::Core {
 public:
  Core(FileHandle file, std::uint32_t reactors) : file_{std::move(file)}, shares_(reactors) {}

  [[nodiscard]] const FileHandle& file() const noexcept { return file_; }
  [[nodiscard]] const FileHandle::Facts& facts() const noexcept { return file_.facts(); }
  [[nodiscard]] std::atomic<std::uint64_t>& sectors() noexcept { return sectors_; }
  [[nodiscard]] Share& share(std::uint32_t reactor) noexcept { return shares_[reactor]; }
  [[nodiscard]] BlockingHelper& helper() noexcept { return helper_; }
  [[nodiscard]] std::size_t reactors() const noexcept { return shares_.size(); }

  Transfer& take(Reactor& here, UringDevice& device);
  static void advance(Operation& self, std::int32_t result, std::uint32_t flags);
  static void prepare(Operation& self, io_uring_sqe& entry) noexcept;
  void discard_blocking(Transfer& transfer, Reactor& here);

 private:
  static void finish(Transfer& transfer, Errc status);
  static void again(Transfer& transfer) { Reactor::current()->start(transfer); }

  const FileHandle file_;
  std::atomic<std::uint64_t> sectors_{file_.facts().size_bytes >> kSectorShift};
  std::vector<Share> shares_;
  BlockingHelper helper_;
};

UringDevice::Transfer& UringDevice::Core::take(Reactor& here, UringDevice& device) {
  Share& share = shares_[here.index()];
  if (share.file_slot == Share::kUnknown) [[unlikely]]
    share.file_slot = here.ring().register_file(file_.fd());
  if (share.free.empty()) {
    share.all.push_back(std::make_unique<Transfer>());
    Transfer& made = *share.all.back();
    made.prepare = &Core::prepare;
    made.done = &Core::advance;
    made.device = &device;
    made.share = &share;
    share.free.reserve(share.all.size());
    share.free.push_back(&made);
  }
  Transfer& transfer = *share.free.back();
  share.free.pop_back();
  ++share.in_flight;
  transfer.done_bytes = 0;
  transfer.sync_after = false;
  return transfer;
}

void UringDevice::Core::prepare(Operation& self, io_uring_sqe& entry) noexcept {
  const auto& transfer = static_cast<const Transfer&>(self);
  const Bio& bio = *transfer.bio;
  const int slot = transfer.share->file_slot;
  const int fd = slot >= 0 ? slot : transfer.device->core_->file_.fd();
  const std::uint64_t offset = transfer.offset + transfer.done_bytes;
  const std::uint64_t left = transfer.size - transfer.done_bytes;
  switch (transfer.step) {
    case Transfer::Step::read:
      io_uring_prep_read(&entry, fd, bio.data + transfer.done_bytes, static_cast<unsigned>(left),
                         offset);
      break;
    case Transfer::Step::write:
      io_uring_prep_write(&entry, fd, bio.data + transfer.done_bytes, static_cast<unsigned>(left),
                          offset);
      if (bio.fua) entry.rw_flags = RWF_DSYNC;
      break;
    case Transfer::Step::write_zeroes:
      io_uring_prep_write(&entry, fd, zeroes(),
                          static_cast<unsigned>(std::min(left, kZeroBufferBytes)), offset);
      break;
    case Transfer::Step::zero_range:
      io_uring_prep_fallocate(&entry, fd, kZero, static_cast<off_t>(offset),
                              static_cast<off_t>(left));
      break;
    case Transfer::Step::punch:
      io_uring_prep_fallocate(&entry, fd, kPunch, static_cast<off_t>(offset),
                              static_cast<off_t>(left));
      break;
    case Transfer::Step::flush:
      io_uring_prep_fsync(&entry, fd, IORING_FSYNC_DATASYNC);
      break;
  }
  if (slot >= 0) entry.flags |= IOSQE_FIXED_FILE;
}

void UringDevice::Core::finish(Transfer& transfer, Errc status) {
  Bio& bio = *transfer.bio;
  const UringDevice& device = *transfer.device;
  --transfer.share->in_flight;
  transfer.share->free.push_back(&transfer);
  engine::complete(device.object(), bio, status);
}

void UringDevice::Core::advance(Operation& self, std::int32_t result, std::uint32_t) {
  auto& transfer = static_cast<Transfer&>(self);
  if (result == -EAGAIN || result == -EINTR) return again(transfer);
  if (result < 0) {
    if (transfer.step == Transfer::Step::zero_range && result == -EOPNOTSUPP) {
      transfer.step = Transfer::Step::write_zeroes;   // this file system has no such thing
      return again(transfer);
    }
    return finish(transfer, to_errc(result));
  }
  switch (transfer.step) {
    case Transfer::Step::read:
    case Transfer::Step::write:
    case Transfer::Step::write_zeroes:
      transfer.done_bytes += static_cast<std::uint64_t>(result);
      if (transfer.done_bytes < transfer.size) {
        // Nothing moved: the file has become shorter. An odd length cannot be gone on from.
        const std::uint32_t block = transfer.device->core_->facts().logical_block_bytes;
        if (result == 0 || transfer.done_bytes % block != 0)
          return finish(transfer, Errc::io_error);
        return again(transfer);
      }
      break;
    case Transfer::Step::zero_range:
    case Transfer::Step::punch:
    case Transfer::Step::flush:
      break;
  }
  if (transfer.sync_after) {
    transfer.sync_after = false;
    transfer.step = Transfer::Step::flush;
    return again(transfer);
  }
  finish(transfer, Errc::ok);
}

// Real block devices discard through an ioctl, which has no place in io_uring everywhere yet.
void UringDevice::Core::discard_blocking(Transfer& transfer, Reactor& here) {
  helper_.run(
      here,
      [fd = file_.fd(), offset = transfer.offset, size = transfer.size]() -> std::int32_t {
        std::uint64_t range[2] = {offset, size};
        return ioctl(fd, BLKDISCARD, range) == 0 ? 0 : -errno;
      },
      [&transfer](std::int32_t result) {
        finish(transfer, result == 0 ? Errc::ok : to_errc(result));
      });
}

// --- The device ---

tl::expected<std::unique_ptr<UringDevice>, std::string> UringDevice::open(UringExecutor& executor,
                                                                          const std::string& path,
                                                                          OpenMode mode,
                                                                          WhenBusy when_busy) {
  auto file = FileHandle::open(path, mode, when_busy);
  if (!file) return tl::unexpected{std::move(file.error())};
  return std::unique_ptr<UringDevice>{new UringDevice{executor, *std::move(file)}};
}

UringDevice::UringDevice(UringExecutor& executor, FileHandle file)
    : BlockDevice{"file"},
      executor_{executor},
      core_{std::make_shared<Core>(std::move(file), executor.reactor_count())} {}

UringDevice::~UringDevice() {
  struct LetGo : Message {
    using Message::Message;
    std::shared_ptr<Core> core;
  };
  // Free for the next to open at once, though rings may hold the file a moment longer.
  flock(core_->file().fd(), LOCK_UN);
  for (std::uint32_t i = 0; i < core_->reactors(); ++i) {
    auto* const message = new LetGo{[](Message& self, Reactor& there) {
      const std::unique_ptr<LetGo> arrived{static_cast<LetGo*>(&self)};
      const Share& share = arrived->core->share(there.index());
      ENGINE_CHECK_ALIVE(share.in_flight == 0, "a device is destroyed under {} bios",
                         share.in_flight);
      if (share.file_slot >= 0) there.ring().unregister_file(share.file_slot);
    }};
    message->core = core_;
    executor_.reactor(i).post(*message);
  }
}

engine::DeviceLimits UringDevice::limits() const noexcept {
  const FileHandle::Facts& facts = core_->facts();
  return {.sectors = core_->sectors().load(std::memory_order_relaxed),
          .logical_block_sectors = facts.logical_block_bytes >> kSectorShift,
          .discard_sectors_max = facts.discards ? kDiscardBytesMax >> kSectorShift : 0,
          .discard_granularity_sectors = facts.discard_granularity_bytes >> kSectorShift,
          .transfer_sectors_max = kTransferBytesMax >> kSectorShift};
}

void UringDevice::take_growth() noexcept {
  const std::uint64_t now = core_->file().size_bytes_now() >> kSectorShift;
  std::atomic<std::uint64_t>& sectors = core_->sectors();
  for (std::uint64_t known = sectors.load(); known < now;)
    if (sectors.compare_exchange_weak(known, now)) return;
}

void UringDevice::use_only(std::uint64_t sectors) noexcept {
  core_->sectors().store(std::min(sectors, core_->file().facts().size_bytes >> kSectorShift));
}

const FileHandle::Facts& UringDevice::facts() const noexcept {
  return core_->facts();
}

const std::string& UringDevice::path() const noexcept {
  return core_->file().path();
}

void UringDevice::do_submit(Bio& bio) {
  Reactor* const here = Reactor::current();
  ENGINE_CHECK(here != nullptr, "a bio is submitted on a thread that is no reactor");
  const FileHandle::Facts& facts = core_->facts();
  Transfer& transfer = core_->take(*here, *this);
  transfer.bio = &bio;
  transfer.offset = bio.sector.value() << kSectorShift;
  transfer.size = bio.size_bytes();
  switch (bio.op) {
    case BioOp::read:
      transfer.step = Transfer::Step::read;
      break;
    case BioOp::write:
      transfer.step = Transfer::Step::write;
      break;
    case BioOp::write_zeroes:
      transfer.step = facts.zero_ranges && transfer.size > kZeroBufferBytes
                          ? Transfer::Step::zero_range
                          : Transfer::Step::write_zeroes;
      transfer.sync_after = bio.fua;
      break;
    case BioOp::discard:
      if (facts.kind == FileKind::block_device && facts.discards)
        return core_->discard_blocking(transfer, *here);
      transfer.step = Transfer::Step::punch;
      break;
    case BioOp::flush:
      transfer.step = Transfer::Step::flush;
      break;
  }
  here->start(transfer);
}

}   // namespace real_io
