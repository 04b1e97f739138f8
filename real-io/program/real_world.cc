#include "real-io/program/real_world.h"

#include <fmt/format.h>

#include "checkers/image/image_file.h"
#include "engine/fiber/completion.h"
#include "real-io/program/blank_file.h"
#include "scenarios/disks.h"

namespace wavetankd {
RealWorld::RealWorld(real_io::UringExecutor& executor, std::uint64_t seed)
    : executor_{executor}, env_{executor, *this}, dice_{seed} {}

tl::expected<std::unique_ptr<RealWorld>, std::string> RealWorld::make(
    real_io::UringExecutor& executor, const Paths& paths, const scenarios::SystemSpec& system,
    std::uint64_t seed) {
  const std::vector<scenarios::DiskSpec> disks = scenarios::disks_of(system);
  for (const scenarios::DiskSpec& disk : disks)
    if (!paths.contains(disk.name))
      return tl::unexpected{fmt::format("no file for the disk '{}'", disk.name)};
  // A run that is refused costs nobody anything: every file is ours before the first is made blank.
  std::vector<BlankFile> files;
  for (const scenarios::DiskSpec& disk : disks) {
    auto file = BlankFile::lock(paths.find(disk.name)->second);
    if (!file) return tl::unexpected{file.error()};
    files.push_back(*std::move(file));
  }
  for (std::size_t i = 0; i < disks.size(); ++i)
    if (auto blank = files[i].make_blank(disks[i].sectors_max * engine::kSectorSize); !blank)
      return tl::unexpected{blank.error()};
  files.clear();   // the devices have locks of their own
  std::unique_ptr<RealWorld> world{new RealWorld{executor, seed}};
  for (const scenarios::DiskSpec& disk : disks) {
    const std::string& path = paths.find(disk.name)->second;
    auto device = real_io::UringDevice::open(executor, path);
    if (!device) return tl::unexpected{device.error()};
    (*device)->use_only(disk.sectors);
    world->disks_.emplace(disk.name, Disk{path, *std::move(device)});
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
