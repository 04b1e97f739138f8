#include "checkers/image/as_findings.h"

#include <fmt/format.h>

namespace checkers::image {

void add_findings(const ThinReport& report, Expect expect, checkers::Findings& findings) {
  for (const Finding& finding : report.findings.kept()) {
    if (expect == Expect::after_cut && finding.rule == Rule::data_count_high) continue;
    findings.add("thin_image",
                 fmt::format("{}-{}", severity_name(finding.severity), rule_name(finding.rule)),
                 "{}", to_text(finding));
  }
}

}   // namespace checkers::image
