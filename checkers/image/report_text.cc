#include "checkers/image/report_text.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

namespace checkers::image {
namespace {

std::string_view verdict(CheckOutcome outcome) {
  switch (outcome) {
    case CheckOutcome::clean:
      return "clean";
    case CheckOutcome::leaks_only:
      return "leaks only: space is lost, nothing else";
    case CheckOutcome::damaged:
      return "damaged";
  }
  return "unknown";
}

void add_findings_text(std::string& text, const Findings& findings, bool incomplete,
                       std::string_view image) {
  const auto out = std::back_inserter(text);
  for (const Finding& finding : findings.kept()) {
    fmt::format_to(out, "{}\n", to_text(finding));
  }
  const std::uint64_t unkept = findings.total() - findings.kept().size();
  if (unkept > 0) fmt::format_to(out, "and {} findings of the same kinds\n", unkept);
  if (incomplete) {
    fmt::format_to(out, "part of the metadata could not be walked: leaks are not told\n");
  }
  fmt::format_to(out, "{}: {}\n", image, verdict(outcome_of(findings)));
}

}   // namespace

std::string render_text(const ThinReport& report, std::string_view image) {
  std::string text;
  const auto out = std::back_inserter(text);
  if (report.readable) {
    const Superblock& super = report.superblock;
    fmt::format_to(out,
                   "{}: {} devices, {} distinct mappings, {} of {} data blocks, {} of {} metadata "
                   "blocks, transaction {}, time {}{}{}\n",
                   image, report.devices.size(), report.distinct_mappings, report.data_allocated,
                   super.data_map.nr_blocks, report.metadata_allocated,
                   super.metadata_map.nr_blocks, super.trans_id, super.time,
                   super.held_root != 0 ? ", metadata snapshot held" : "",
                   (super.flags & thin_format::kFlagNeedsCheck) != 0 ? ", needs_check" : "");
  }
  add_findings_text(text, report.findings, report.readable && !report.complete, image);
  return text;
}

std::uint64_t count_dirty(const CacheReport& report) {
  return static_cast<std::uint64_t>(
      std::count_if(report.mappings.begin(), report.mappings.end(),
                    [](const CacheMapping& mapping) { return mapping.dirty; }));
}

std::string render_text(const CacheReport& report, std::string_view image) {
  std::string text;
  if (report.readable) {
    const CacheSuperblock& super = report.superblock;
    fmt::format_to(
        std::back_inserter(text),
        "{}: cache of {} blocks, version {}, {}: {} mapped, {} stored as dirty, {} of {} "
        "discard blocks, {} of {} metadata blocks{}{}{}\n",
        image, super.cache_blocks, super.version,
        super.clean() ? "shut down cleanly" : "not shut down cleanly", report.mappings.size(),
        count_dirty(report), report.discarded.size(), super.discard_nr_blocks,
        report.metadata_allocated, super.metadata_map.nr_blocks,
        super.hint_root != 0 ? ", hints of " : "", super.hint_root != 0 ? super.policy_name : "",
        super.needs_check() ? ", needs_check" : "");
  }
  add_findings_text(text, report.findings, report.readable && !report.complete, image);
  return text;
}

}   // namespace checkers::image
