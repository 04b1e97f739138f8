#include "real-io/program/real_world.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "checkers/image/image_file.h"
#include "engine/fiber/completion.h"

namespace wavetankd {
namespace {

// Room for what scenarios grow the metadata by, beyond what the pool sees at first.
constexpr std::uint64_t kGrowthBlocks = 1024;

tl::expected<void, std::string> make_blank(const std::string& path, std::uint64_t bytes) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  struct stat status{};
  const bool made = fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
                    ftruncate(fd, 0) == 0 && ftruncate(fd, static_cast<off_t>(bytes)) == 0;
  const int error = fd >= 0 && !S_ISREG(status.st_mode) ? EINVAL : errno;
  if (fd >= 0) close(fd);
  if (made) return {};
  return tl::unexpected{
      fmt::format("{}: cannot make a blank file: {}", path, std::strerror(error))};
}

}   // namespace

RealWorld::RealWorld(real_io::UringExecutor& executor, std::string metadata_path)
    : executor_{executor}, metadata_path_{std::move(metadata_path)}, env_{executor, *this} {}

tl::expected<std::unique_ptr<RealWorld>, std::string> RealWorld::make(
    real_io::UringExecutor& executor, const std::string& metadata, const std::string& data,
    const scenarios::SystemSpec& system) {
  const std::uint64_t metadata_bytes = system.metadata_blocks * engine::kMetaBlockSize;
  const std::uint64_t data_bytes =
      system.data_device_blocks * system.block_sectors * engine::kSectorSize;
  if (auto made = make_blank(metadata, metadata_bytes + kGrowthBlocks * engine::kMetaBlockSize);
      !made)
    return tl::unexpected{made.error()};
  if (auto made = make_blank(data, data_bytes); !made) return tl::unexpected{made.error()};
  std::unique_ptr<RealWorld> world{new RealWorld{executor, metadata}};
  for (const auto& [path, to] :
       {std::pair{&metadata, &world->metadata_}, std::pair{&data, &world->data_}}) {
    auto device = real_io::UringDevice::open(executor, *path);
    if (!device) return tl::unexpected{device.error()};
    *to = *std::move(device);
  }
  world->metadata_->use_only(metadata_bytes / engine::kSectorSize);
  return world;
}

void RealWorld::grow_metadata(std::uint64_t blocks) {
  metadata_->use_only(metadata_->limits().sectors + blocks * engine::kMetaBlockSectors);
}

void RealWorld::run_together(std::vector<std::pair<std::string, std::function<void()>>> bodies) {
  if (bodies.empty()) return;
  engine::Completion ended{"run_together", static_cast<std::uint32_t>(bodies.size())};
  std::uint32_t next = 0;
  for (auto& [name, body] : bodies) {
    executor_.spawn_on(next++ % executor_.reactor_count(), "actor",
                       [&ended, run = std::move(body)] {
                         run();
                         ended.signal();
                       });
  }
  ended.wait();
}

std::unique_ptr<checkers::image::BlockSource> RealWorld::metadata_image() {
  return checkers::image::ImageFile::open(metadata_path_).image;
}

void RealWorld::report(const checkers::Finding& finding) {
  const std::lock_guard lock{mutex_};
  findings_.push_back(finding);
}

std::vector<checkers::Finding> RealWorld::findings() const {
  const std::lock_guard lock{mutex_};
  return findings_;
}

engine::Result<engine::BlockDevice*> RealWorld::find(std::string_view name) {
  if (name == "metadata") return metadata_.get();
  if (name == "data") return data_.get();
  return engine::fail(engine::Errc::not_found, 0, "no such device");
}

}   // namespace wavetankd
