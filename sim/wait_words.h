// Who waits for whom, in words: for findings and their graphs.
#pragma once

#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include "sim/finding.h"
#include "sim/wait_graph.h"

namespace sim {

class Execution;

// "writer#2"; completions by their I/O: "io 1.5".
[[nodiscard]] std::string describe(const SimFiber& fiber);
// "cache@5".
[[nodiscard]] std::string describe(const engine::SyncObject& object);
// "cache"; somebody may wait for what is destroyed.
[[nodiscard]] const char* name_of(const engine::SyncObject& object) noexcept;
// "to write-lock", behind "waits".
[[nodiscard]] std::string_view verb(engine::OpKind op) noexcept;
// "file.cc:12".
[[nodiscard]] std::string at(const std::source_location& where);
// "a, b and c".
[[nodiscard]] std::string listed(const std::vector<std::string>& names);

// Fibers and objects by name, or with their numbers where several have one name.
class Namer {
 public:
  explicit Namer(const std::vector<const Wait*>& waits);
  [[nodiscard]] std::string of(const SimFiber& fiber) const {
    return plain_ ? fiber.name() : describe(fiber);
  }
  [[nodiscard]] std::string of(const engine::SyncObject& object) const {
    return plain_ ? name_of(object) : describe(object);
  }

 private:
  bool plain_ = true;
};

// "reader waits to write-lock cache, which it holds to read itself".
[[nodiscard]] std::string words_of(const Wait& wait, const Namer& names);
// Whose doing it needs, behind what is waited for, with where they took what they hold, as far as
// the log of the execution tells: ", held by b#3 since step 12, file.cc:12".
[[nodiscard]] std::string others_words(const Execution& execution, const Wait& wait);
// From the fiber to what it waits for, and from there to those whose doing it needs. Those that are
// there already are not added again.
void add_edges(const Wait& wait, std::vector<FindingEdge>& edges);

}   // namespace sim
