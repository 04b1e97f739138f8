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

Json findings_json(const Findings& findings) {
  Json list = Json::array();
  for (const Finding& finding : findings.kept()) {
    list.push_back({{"rule", static_cast<unsigned>(finding.rule)},
                    {"name", std::string{rule_name(finding.rule)}},
                    {"severity", std::string{severity_name(finding.severity)}},
                    {"block", finding.block},
                    {"field", finding.field},
                    {"found", finding.found},
                    {"expected", finding.expected}});
  }
  return list;
}

// What all reports begin and end with.
template <typename Report>
Json head_json(const Report& report, std::string_view image) {
  Json json;
  json["image"] = std::string{image};
  json["outcome"] = std::string{outcome_name(report.outcome())};
  json["exit_code"] = report.exit_code();
  json["readable"] = report.readable;
  json["complete"] = report.complete;
  return json;
}
std::string finish_json(Json& json, const Findings& findings) {
  json["findings"] = findings_json(findings);
  json["findings_total"] = findings.total();
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}   // namespace

std::string render_json(const ThinReport& report, std::string_view image) {
  Json json = head_json(report, image);
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
  return finish_json(json, report.findings);
}

std::string render_json(const CacheReport& report, std::string_view image) {
  Json json = head_json(report, image);
  if (report.readable) {
    const CacheSuperblock& super = report.superblock;
    json["superblock"] = {{"version", super.version},
                          {"clean_shutdown", super.clean()},
                          {"needs_check", super.needs_check()},
                          {"cache_blocks", super.cache_blocks},
                          {"data_block_size", super.data_block_size},
                          {"policy", super.policy_name},
                          {"policy_version", super.policy_version},
                          {"policy_hint_size", super.policy_hint_size},
                          {"discard_block_size", super.discard_block_size},
                          {"discard_blocks", super.discard_nr_blocks},
                          {"metadata_blocks", super.metadata_map.nr_blocks}};
    json["metadata_allocated"] = report.metadata_allocated;
    json["mappings"] = report.mappings.size();
    json["dirty"] = count_dirty(report);
    json["discarded"] = report.discarded.size();
  }
  return finish_json(json, report.findings);
}

}   // namespace checkers::image
