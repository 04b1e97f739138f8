// The disks of a run as its power cuts left them, as files: for thin_check, a kernel, a hex editor.
//
//   FOLDER/workload.toml           what ran: block size and thins are not all in the metadata
//   FOLDER/cut-1/metadata.img      one file a disk, sparse, named as tables name it
//   FOLDER/cut-1/data.img
//
// Runs write in processes of their own, which may die of what comes after the cut. So whether all
// went well is kept in memory shared with the parent, who has to ask. One that cannot be written
// ends the writing, not the run: it decides as it would without.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "scenarios/workload.h"
#include "sim/program/run.h"
#include "sim/program/shared_memory.h"

namespace program {

class CutImages {
 public:
  // Before the processes are forked.
  explicit CutImages(std::filesystem::path folder) : folder_{std::move(folder)} {}
  ~CutImages() = default;
  CutImages(const CutImages&) = delete;
  CutImages& operator=(const CutImages&) = delete;

  // Makes the folder. One line, if it cannot be or holds something already: images of several runs
  // would mix.
  [[nodiscard]] std::string open() const;
  // Of one run of `workload`, which goes into the folder itself; or, as a schedule of a search,
  // into FOLDER/schedule-7.
  [[nodiscard]] Watch watch(const scenarios::Workload& workload,
                            std::optional<std::uint64_t> schedule = {});
  // Nobody writes any more: the images of later schedules go, as which of them were run depends on
  // how many processes there were.
  void keep_up_to(std::uint64_t schedule);

  // Power cuts written so far, by all processes.
  [[nodiscard]] std::uint64_t cuts() const noexcept;
  // One line, if something could not be written.
  [[nodiscard]] std::string failure() const;
  [[nodiscard]] const std::filesystem::path& folder() const noexcept { return folder_; }
  // "images of 3 power cuts in out/images"
  [[nodiscard]] std::string summary() const;

 private:
  struct Page {
    std::atomic<std::uint64_t> cuts{0};
    std::atomic<bool> failed{false};
    std::atomic<bool> told{false};      // `failure` is whole
    std::array<char, 1024> failure{};   // of the first who failed
  };
  struct Undecided {
    std::filesystem::path cut;
    DiskImages disks;
  };
  void write(const std::filesystem::path& folder, std::uint64_t number,
             const scenarios::Workload& workload, const DiskImages& disks);
  // Writes once more what such a run has decided later than at the cut.
  void write_decided();
  void fail(const std::string& why);

  std::filesystem::path folder_;
  std::vector<Undecided> undecided_;
  SharedMemory<Page> page_;
};

}   // namespace program
