// What a finding is about: blocks and synchronisation objects, and which events touch them.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>

#include "traces/run_model.h"

namespace traces {

class Kinship {
 public:
  explicit Kinship(const RunModel& run);

  [[nodiscard]] bool touches_block(std::size_t event) const;
  [[nodiscard]] bool touches_object(std::size_t event) const;
  // Nothing was found out about blocks: the finding is about something else.
  [[nodiscard]] bool has_blocks() const noexcept { return !data_.empty() || !virtual_.empty(); }
  // The fiber in which the run failed; 0 when unknown.
  [[nodiscard]] std::uint32_t failing_fiber() const noexcept { return failing_fiber_; }
  // On two I/Os that met: "The discard of data block 0 was submitted first and took effect last
  // ..."; or on the section that the failing fiber is in.
  [[nodiscard]] const std::string& explanation() const noexcept { return explanation_; }
  // The event to point at: the late effect, the I/O that came too early, what the message names by
  // its place; kNone without one.
  [[nodiscard]] std::size_t culprit() const noexcept { return culprit_; }

  // The culprit is where the failing fiber entered something in which it may not wait.
  [[nodiscard]] bool in_section() const noexcept { return in_section_; }

 private:
  using VirtualBlock = std::pair<std::uint64_t, std::uint64_t>;   // thin, block

  void find_failing_fiber();
  void read_message();
  void find_inversion();
  void find_overlap();
  void find_named_place();
  void explain_section(const Event& entry);
  void follow_mappings();
  [[nodiscard]] bool is_of_threads(const Event& e) const;
  void find_objects();

  const RunModel& run_;
  std::uint32_t failing_fiber_ = 0;
  std::set<VirtualBlock> virtual_;
  std::set<std::uint64_t> data_;
  std::set<std::uint32_t> objects_;
  bool in_section_ = false;
  std::string explanation_;
  std::size_t culprit_ = kNone;
};

}   // namespace traces
