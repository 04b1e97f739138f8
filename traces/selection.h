// What of a run matters: which events and decisions a reader must see to understand the finding, in
// which lanes they belong, and what is left out between them.
//
// The choice is by kind of event, by kinship with what the finding is about (its blocks, its
// locks), and by nearness to the schedule's decisions. It is a judgement, made once, for picture
// and story.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "traces/run_model.h"

namespace traces {

enum class LaneKind : std::uint8_t { fiber, disk };

struct Lane {
  LaneKind kind = LaneKind::fiber;
  std::uint32_t fiber = 0;   // of a fiber lane
  std::string name;          // "pool.worker"; of a disk "disk data"
  std::string role;          // what the workload calls the actor
};

enum class RowKind : std::uint8_t { event, decision, failure };

struct Row {
  RowKind kind = RowKind::event;
  std::size_t index = 0;   // of the event or decision
  std::size_t lane = 0;
  std::size_t number = 0;   // of the decision that it shows; 0 for none
  bool related = false;     // touches what the finding is about
  // 2 * event + 1, or 2 * events_before of a decision: its place in the run.
  std::size_t position = 0;
  std::uint64_t point = 0;
};

struct NumberedDecision {
  std::size_t number = 0;   // from 1
  std::size_t decision = 0;
};

struct Selection {
  std::vector<Lane> lanes;
  std::vector<Row> rows;   // in order
  std::vector<NumberedDecision> decisions;
  std::size_t decisions_left_out = 0;
  // One sentence on the I/Os that passed each other, or on what a fiber is inside; or empty.
  std::string explanation;
  std::size_t culprit = kNone;   // the event that it is about
  // The failing fiber is still inside what it entered with the culprit.
  bool in_section = false;
};

struct SelectionLimits {
  std::size_t rows_max = 30;   // beside decisions and the failure
  std::size_t lanes_max = 7;
  std::size_t decisions_max = 12;
};

[[nodiscard]] Selection select_rows(const RunModel& run, const SelectionLimits& limits = {});

}   // namespace traces
