#include <nlohmann/json.hpp>

#include "checkers/image/report_text.h"

namespace checkers::image {
namespace {

using Json = nlohmann::ordered_json;

Json devices_json(const std::vector<ThinDevice>& devices) {
  Json list = Json::array();
  for (const ThinDevice& device : devices) {
    list.push_back({{"id", device.id},
                    {"mapped_blocks", device.mapped_blocks},
                    {"mappings", device.mappings},
                    {"transaction_id", device.transaction_id},
                    {"creation_time", device.creation_time},
                    {"snapshotted_time", device.snapshotted_time}});
  }
  return list;
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

}   // namespace

std::string render_json(const ThinReport& report, std::string_view image) {
  Json json;
  json["image"] = std::string{image};
  json["outcome"] = std::string{outcome_name(report.outcome())};
  json["exit_code"] = report.exit_code();
  json["readable"] = report.readable;
  json["complete"] = report.complete;
  if (report.readable) {
    const Superblock& super = report.superblock;
    json["superblock"] = {{"time", super.time},
                          {"transaction_id", super.trans_id},
                          {"flags", super.flags},
                          {"held_root", super.held_root},
                          {"data_block_size", super.data_block_size},
                          {"data_blocks", super.data_map.nr_blocks},
                          {"metadata_blocks", super.metadata_map.nr_blocks}};
    json["data_allocated"] = report.data_allocated;
    json["metadata_allocated"] = report.metadata_allocated;
    json["distinct_mappings"] = report.distinct_mappings;
    json["devices"] = devices_json(report.devices);
    if (super.held_root != 0) json["held_devices"] = devices_json(report.held_devices);
  }
  Json findings = Json::array();
  for (const Finding& finding : report.findings.kept()) {
    findings.push_back({{"rule", static_cast<unsigned>(finding.rule)},
                        {"name", std::string{rule_name(finding.rule)}},
                        {"severity", std::string{severity_name(finding.severity)}},
                        {"block", finding.block},
                        {"field", finding.field},
                        {"found", finding.found},
                        {"expected", finding.expected}});
  }
  json["findings"] = std::move(findings);
  json["findings_total"] = report.findings.total();
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}   // namespace checkers::image
