#include "sim/program/cut_images.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <fstream>
#include <string_view>

#include <fmt/format.h>
#include <tl/expected.hpp>

#include "scenarios/workload_text.h"
#include "sim/finding_folder.h"

namespace program {
namespace {
namespace fs = std::filesystem;

constexpr std::string_view kSchedule = "schedule-";

tl::expected<void, std::string> unwritable(const fs::path& path) {
  return tl::unexpected(fmt::format("{}: cannot be written", path.string()));
}

// As large as the disk, with holes where it holds zeroes.
tl::expected<void, std::string> write_image(const fs::path& path, const sim::DiskImage& image) {
  static constexpr std::array<std::byte, sim::kPageSize> kBlank{};
  image.see_decided();
  const std::uint64_t size = image.sectors() * engine::kSectorSize;
  std::ofstream file{path, std::ios::binary | std::ios::trunc};
  for (const sim::PageTable::Entry& entry : image.pages().entries()) {
    const std::uint64_t begin = entry.number * sim::kPageSize;
    if (entry.page == nullptr || begin >= size || entry.page->bytes == kBlank) continue;
    file.seekp(static_cast<std::streamoff>(begin));
    file.write(reinterpret_cast<const char*>(entry.page->bytes.data()),
               static_cast<std::streamsize>(std::min<std::uint64_t>(size - begin, sim::kPageSize)));
  }
  file.close();
  if (!file) return unwritable(path);
  std::error_code failed;
  fs::resize_file(path, size, failed);
  if (failed) return unwritable(path);
  return {};
}

tl::expected<void, std::string> write_disks(const fs::path& cut, const DiskImages& disks) {
  for (const auto& [name, image] : disks) {
    auto written = write_image(cut / fmt::format("{}.img", name), *image);
    if (!written) return written;
  }
  return {};
}

}   // namespace

std::string CutImages::open() const {
  if (std::string error = sim::why_unusable(folder_); !error.empty()) return error;
  std::error_code failed;
  fs::create_directories(folder_, failed);
  const bool empty = !failed && fs::is_empty(folder_, failed);
  if (failed) return fmt::format("{}: {}", folder_.string(), failed.message());
  return empty ? std::string{}
               : fmt::format("{}: holds something already: images want an empty folder",
                             folder_.string());
}

Watch CutImages::watch(const scenarios::Workload& workload, std::optional<std::uint64_t> schedule) {
  Watch watch;
  watch.cut = [this, &workload,
               folder = schedule ? folder_ / fmt::format("{}{}", kSchedule, *schedule) : folder_,
               number = std::uint64_t{0}](const DiskImages& disks) mutable {
    write(folder, ++number, workload, disks);
  };
  watch.over = [this] { write_decided(); };
  return watch;
}

void CutImages::write(const fs::path& folder, std::uint64_t number,
                      const scenarios::Workload& workload, const DiskImages& disks) {
  if (page_->failed.load()) return;
  const fs::path cut = folder / fmt::format("cut-{}", number);
  const auto all = [&]() -> tl::expected<void, std::string> {
    std::error_code failed;
    fs::create_directories(cut, failed);
    if (failed) return tl::unexpected(fmt::format("{}: {}", cut.string(), failed.message()));
    auto written = sim::write_file(folder / "workload.toml", scenarios::to_toml(workload));
    if (!written) return written;
    return write_disks(cut, disks);
  };
  if (const auto written = all()) {
    page_->cuts.fetch_add(1);
  } else {
    fail(written.error());
  }
  const bool undecided = std::any_of(disks.begin(), disks.end(),
                                     [](const auto& disk) { return disk.second->was_undecided(); });
  if (undecided) undecided_.push_back({cut, disks});
}

void CutImages::keep_up_to(std::uint64_t schedule) {
  std::error_code failed;
  std::vector<fs::path> schedules;
  for (const fs::directory_entry& entry : fs::directory_iterator{folder_, failed})
    schedules.push_back(entry.path());
  std::uint64_t cuts = 0;
  for (const fs::path& folder : schedules) {
    const std::string name = folder.filename();
    if (!name.starts_with(kSchedule)) continue;
    std::uint64_t number = 0;
    std::from_chars(name.data() + kSchedule.size(), name.data() + name.size(), number);
    if (number > schedule) {
      fs::remove_all(folder, failed);
      if (failed) fail(fmt::format("{}: {}", folder.string(), failed.message()));
      continue;
    }
    for (const fs::directory_entry& below : fs::directory_iterator{folder, failed})
      cuts += below.is_directory();
  }
  if (!page_->failed.load()) page_->cuts.store(cuts);
}

void CutImages::write_decided() {
  for (const Undecided& each : undecided_) {
    if (const auto written = write_disks(each.cut, each.disks); !written) fail(written.error());
  }
  undecided_.clear();
}

void CutImages::fail(const std::string& why) {
  if (page_->failed.exchange(true)) return;
  const std::size_t size = std::min(why.size(), page_->failure.size() - 1);
  std::memcpy(page_->failure.data(), why.data(), size);
  page_->told.store(true);
}

std::uint64_t CutImages::cuts() const noexcept {
  return page_->cuts.load();
}

std::string CutImages::failure() const {
  if (!page_->failed.load()) return {};
  // Who failed may have died before it could say so.
  return page_->told.load() ? page_->failure.data()
                            : fmt::format("{}: cannot be written", folder_.string());
}

std::string CutImages::summary() const {
  const std::uint64_t count = cuts();
  if (count == 0) return "images of none: the power was not cut";
  return fmt::format("images of {} power cut{} in {}", count, count == 1 ? "" : "s",
                     folder_.string());
}

}   // namespace program
