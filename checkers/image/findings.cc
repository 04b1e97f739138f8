#include "checkers/image/findings.h"

#include <fmt/format.h>

namespace checkers::image {

std::string_view rule_name(Rule rule) {
  switch (rule) {
    case Rule::superblock_checksum:
      return "superblock-checksum";
    case Rule::superblock_fields:
      return "superblock-fields";
    case Rule::block_identity:
      return "block-identity";
    case Rule::node_shape:
      return "node-shape";
    case Rule::device_sets:
      return "device-sets";
    case Rule::mapped_blocks:
      return "mapped-blocks";
    case Rule::data_bounds:
      return "data-bounds";
    case Rule::data_count_low:
      return "data-count-low";
    case Rule::data_count_high:
      return "data-count-high";
    case Rule::metadata_count_low:
      return "metadata-count-low";
    case Rule::metadata_count_high:
      return "metadata-count-high";
    case Rule::overflow:
      return "overflow";
    case Rule::bitmap_tail:
      return "bitmap-tail";
    case Rule::space_map_totals:
      return "space-map-totals";
    case Rule::index_keys:
      return "index-keys";
    case Rule::times:
      return "times";
    case Rule::sharing:
      return "sharing";
    case Rule::shared_identity:
      return "shared-identity";
    case Rule::transaction_ids:
      return "transaction-ids";
    case Rule::held_root:
      return "held-root";
    case Rule::reached_twice:
      return "reached-twice";
    case Rule::unreadable:
      return "unreadable";
    case Rule::array_shape:
      return "array-shape";
    case Rule::cache_mappings:
      return "cache-mappings";
    case Rule::origin_twice:
      return "origin-twice";
    case Rule::dirty_bits:
      return "dirty-bits";
    case Rule::hints:
      return "hints";
    case Rule::discards:
      return "discards";
  }
  return "unknown";
}

std::string_view severity_name(Severity severity) {
  switch (severity) {
    case Severity::warn:
      return "warning";
    case Severity::leak:
      return "leak";
    case Severity::repairable:
      return "repairable";
    case Severity::fatal:
      return "fatal";
  }
  return "unknown";
}

std::string to_text(const Finding& finding) {
  return fmt::format("{}: {}: metadata block {}: {}: found {}, expected {}",
                     severity_name(finding.severity), rule_name(finding.rule), finding.block,
                     finding.field, finding.found, finding.expected);
}

void Findings::count(Rule rule, Severity severity) {
  ++total_;
  ++counts_[static_cast<std::size_t>(rule)][static_cast<std::size_t>(severity)];
}

void Findings::add(Rule rule, Severity severity, std::uint64_t block, std::string field,
                   std::string found, std::string expected) {
  const bool keep = keeps(rule, severity);
  count(rule, severity);
  if (!keep) return;
  kept_.push_back({rule, severity, block, std::move(field), std::move(found), std::move(expected)});
}

void Findings::clear() {
  total_ = 0;
  counts_ = {};
  kept_.clear();
}

std::string_view outcome_name(CheckOutcome outcome) {
  switch (outcome) {
    case CheckOutcome::clean:
      return "clean";
    case CheckOutcome::leaks_only:
      return "leaks";
    case CheckOutcome::damaged:
      return "damaged";
  }
  return "unknown";
}

CheckOutcome outcome_of(const Findings& findings) {
  if (findings.of_severity(Severity::fatal) + findings.of_severity(Severity::repairable) > 0) {
    return CheckOutcome::damaged;
  }
  return findings.of_severity(Severity::leak) > 0 ? CheckOutcome::leaks_only : CheckOutcome::clean;
}

}   // namespace checkers::image
