// What a checker of images says: findings, each with the rule it breaks, the block, the field, what
// was found there and what was expected. Kept per rule and severity up to a limit, counted exactly
// beyond it, so that a hostile image cannot make a report grow without bound.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace checkers::image {

enum class Severity : std::uint8_t {
  warn,         // odd, harmless
  leak,         // space lost, nothing else; allowed after a crash
  repairable,   // wrong, but can be computed anew
  fatal,        // the pool must not be opened read-write
};

// Numbered as in docs/format/checker.md.
enum class Rule : std::uint8_t {
  superblock_checksum = 1,
  superblock_fields = 2,
  block_identity = 3,
  node_shape = 4,
  device_sets = 5,
  mapped_blocks = 6,
  data_bounds = 7,
  data_count_low = 8,
  data_count_high = 9,
  metadata_count_low = 10,
  metadata_count_high = 11,
  overflow = 12,
  bitmap_tail = 13,
  space_map_totals = 14,
  index_keys = 15,
  times = 16,
  sharing = 17,
  shared_identity = 18,
  transaction_ids = 19,
  held_root = 20,
  reached_twice = 21,
  unreadable = 22,
  // Of caches; docs/format/cache-checker.md.
  array_shape = 23,
  cache_mappings = 24,
  origin_twice = 25,
  dirty_bits = 26,
  hints = 27,
  discards = 28,
};
inline constexpr std::size_t kRules = 29;

[[nodiscard]] std::string_view rule_name(Rule rule);
[[nodiscard]] std::string_view severity_name(Severity severity);

struct Finding {
  Rule rule{};
  Severity severity{};
  std::uint64_t block{0};   // the metadata block that holds the field
  std::string field;
  std::string found;
  std::string expected;

  friend bool operator==(const Finding&, const Finding&) = default;
};

// One line: severity, rule, block, field, found, expected.
[[nodiscard]] std::string to_text(const Finding& finding);

class Findings {
 public:
  explicit Findings(std::size_t kept_per_rule = 20) : kept_per_rule_{kept_per_rule} {}

  void add(Rule rule, Severity severity, std::uint64_t block, std::string field, std::string found,
           std::string expected);
  void clear();

  // Whether one more finding of this kind would still be kept: spares the work of describing it.
  [[nodiscard]] bool keeps(Rule rule, Severity severity) const {
    return cell(rule, severity) < kept_per_rule_;
  }
  // Counts a finding without keeping it.
  void count(Rule rule, Severity severity);
  [[nodiscard]] std::size_t kept_per_rule() const { return kept_per_rule_; }

  [[nodiscard]] const std::vector<Finding>& kept() const { return kept_; }
  [[nodiscard]] bool empty() const { return total_ == 0; }
  [[nodiscard]] std::uint64_t total() const { return total_; }
  [[nodiscard]] std::uint64_t of_rule(Rule rule) const {
    std::uint64_t sum = 0;
    for (const std::uint64_t count : counts_[static_cast<std::size_t>(rule)])
      sum += count;
    return sum;
  }
  [[nodiscard]] std::uint64_t of_severity(Severity severity) const {
    std::uint64_t sum = 0;
    for (const auto& of_rule : counts_)
      sum += of_rule[static_cast<std::size_t>(severity)];
    return sum;
  }

 private:
  [[nodiscard]] std::uint64_t cell(Rule rule, Severity severity) const {
    return counts_[static_cast<std::size_t>(rule)][static_cast<std::size_t>(severity)];
  }

  std::size_t kept_per_rule_;
  std::uint64_t total_{0};
  std::array<std::array<std::uint64_t, 4>, kRules> counts_{};   // by rule and severity
  std::vector<Finding> kept_;
};

// Of a whole image; the numbers are exit codes. Warnings are no damage.
enum class CheckOutcome : std::uint8_t { clean = 0, leaks_only = 1, damaged = 2 };
[[nodiscard]] std::string_view outcome_name(CheckOutcome outcome);
[[nodiscard]] CheckOutcome outcome_of(const Findings& findings);

}   // namespace checkers::image
