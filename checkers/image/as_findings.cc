#include "checkers/image/as_findings.h"

#include <fmt/format.h>

namespace checkers::image {

namespace {

void add_one(const char* checker, const Finding& finding, checkers::Findings& findings) {
  findings.add(checker,
               fmt::format("{}-{}", severity_name(finding.severity), rule_name(finding.rule)), "{}",
               to_text(finding));
}

}   // namespace

void add_findings(const ThinReport& report, Expect expect, checkers::Findings& findings) {
  for (const Finding& finding : report.findings.kept()) {
    if (expect == Expect::held && finding.rule == Rule::data_count_high) continue;
    add_one("thin_image", finding, findings);
  }
}

void add_findings(const CacheReport& report, checkers::Findings& findings) {
  for (const Finding& finding : report.findings.kept())
    add_one("cache_image", finding, findings);
}

}   // namespace checkers::image
