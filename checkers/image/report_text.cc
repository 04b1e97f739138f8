#include "checkers/image/report_text.h"

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
  for (const Finding& finding : report.findings.kept()) {
    fmt::format_to(out, "{}\n", to_text(finding));
  }
  const std::uint64_t unkept = report.findings.total() - report.findings.kept().size();
  if (unkept > 0) fmt::format_to(out, "and {} findings of the same kinds\n", unkept);
  if (report.readable && !report.complete) {
    fmt::format_to(out, "part of the metadata could not be walked: leaks are not told\n");
  }
  fmt::format_to(out, "{}: {}\n", image, verdict(report.outcome()));
  return text;
}

}   // namespace checkers::image
