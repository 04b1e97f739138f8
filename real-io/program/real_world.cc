#include "real-io/program/real_world.h"

#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "checkers/image/image_file.h"
#include "engine/fiber/completion.h"
#include "scenarios/disks.h"

namespace wavetankd {
namespace {

tl::expected<void, std::string> make_blank(const std::string& path, std::uint64_t bytes) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  struct stat status{};
  const bool made = fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
                    ftruncate(fd, 0) == 0 && ftruncate(fd, static_cast<off_t>(bytes)) == 0;
  const int error = fd >= 0 && !S_ISREG(status.st_mode) ? EINVAL : errno;
  if (fd >= 0) close(fd);
  if (made) return {};
  return tl::unexpected{fmt::format("{}: cannot make a blank file: {}", path,
                                    std::generic_category().message(error))};
}

}   // namespace

RealWorld::RealWorld(real_io::UringExecutor& executor, std::uint64_t seed)
    : executor_{executor}, env_{executor, *this}, dice_{seed} {}

tl::expected<std::unique_ptr<RealWorld>, std::string> RealWorld::make(
    real_io::UringExecutor& executor, const Paths& paths, const scenarios::SystemSpec& system,
    std::uint64_t seed) {
  std::unique_ptr<RealWorld> world{new RealWorld{executor, seed}};
  for (const scenarios::DiskSpec& disk : scenarios::disks_of(system)) {
    const auto path = paths.find(disk.name);
    if (path == paths.end())
      return tl::unexpected{fmt::format("no file for the disk '{}'", disk.name)};
    if (auto made = make_blank(path->second, disk.sectors_max * engine::kSectorSize); !made)
      return tl::unexpected{made.error()};
    auto device = real_io::UringDevice::open(executor, path->second);
    if (!device) return tl::unexpected{device.error()};
    (*device)->use_only(disk.sectors);
    world->disks_.emplace(disk.name, Disk{path->second, *std::move(device)});
  }
  return world;
}

void RealWorld::resize(std::string_view disk, std::uint64_t sectors) {
  const auto found = disks_.find(disk);
  if (found != disks_.end()) found->second.device->use_only(sectors);
}

void RealWorld::run_together(std::vector<std::pair<std::string, std::function<void()>>> bodies) {
  std::erase_if(bodies, [](const auto& each) { return each.second == nullptr; });
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

std::uint32_t RealWorld::choose(const char* /*what*/, std::uint32_t count) {
  const std::lock_guard lock{mutex_};
  return dice_(count);
}

std::unique_ptr<checkers::image::BlockSource> RealWorld::image(std::string_view disk) {
  const auto found = disks_.find(disk);
  if (found == disks_.end()) return nullptr;
  return checkers::image::ImageFile::open(found->second.path).image;
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
  if (const auto found = disks_.find(name); found != disks_.end())
    return found->second.device.get();
  return engine::fail(engine::Errc::not_found, 0, "no such device");
}

}   // namespace wavetankd
