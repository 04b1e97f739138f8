// Operations in phrases: what one operation leaves is what the next one is about.
//
// Drawn one by one, operations are on the same block by chance and in any order, and the few orders
// in which a user has reason to do things (write, flush, snapshot, write again, discard) come up as
// rarely as the many without. So an actor stays where it is for a while, and what it does next is
// half of the time what often follows. All actors of a workload have one favourite place, where
// they meet.
#pragma once

#include <cstddef>
#include <vector>

#include "scenarios/draw.h"
#include "scenarios/generate.h"
#include "scenarios/workload.h"

namespace scenarios {

class Phrases {
 public:
  // For operations on what `menu` says there is. `draw` outlives this.
  Phrases(const Menu& menu, Draw& draw);

  // One to `most` operations of somebody who has done nothing before.
  [[nodiscard]] std::vector<Operation> operations(const Weights& verbs, std::uint32_t most);
  // As many actors, each with one to `operations_most`.
  [[nodiscard]] std::vector<Actor> actors(const Weights& verbs, std::uint32_t count,
                                          std::uint32_t operations_most);

 private:
  struct Place {
    std::uint32_t thin = 0;
    std::uint64_t block = 0;
  };
  [[nodiscard]] std::uint64_t any_block();
  [[nodiscard]] Place anywhere();
  [[nodiscard]] Weights part_of(const Weights& verbs);
  [[nodiscard]] std::vector<Operation> with_meetings(const std::vector<Operation>& operations);
  [[nodiscard]] Verb any_of(const Weights& verbs);
  // What comes after `before`.
  [[nodiscard]] Verb next_verb(const Weights& verbs, Verb before);
  [[nodiscard]] Place move_on(Place at);

  const Menu menu_;
  Draw& draw_;
  Place favourite_;
  // Of each thin, the last one that it was the origin or a snapshot of, by any actor's account:
  // both are about the same blocks. Itself: there is none.
  std::vector<std::uint32_t> relatives_;
};

}   // namespace scenarios
