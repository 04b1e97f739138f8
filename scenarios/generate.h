// Pieces of generators that scenarios share. They shrink towards fewer operations, lower thin ids,
// lower blocks and plainer requests.
#pragma once

#include <utility>
#include <vector>

#include <rapidcheck.h>

#include "scenarios/draw.h"
#include "scenarios/workload.h"

namespace scenarios {

using Weights = std::vector<std::pair<std::size_t, Verb>>;

// What an operation generator may draw from.
struct Menu {
  Weights verbs;
  std::uint32_t thins = 1;        // ids 0 .. thins - 1 are there at first
  std::uint32_t more_thins = 0;   // ids behind them that may come to be
  std::uint64_t blocks = 4;       // virtual blocks addressed
  std::uint32_t block_sectors = 128;
  bool whole_blocks_only = false;
  std::vector<Contradiction> contradictions{Contradiction::block_size, Contradiction::discards,
                                            Contradiction::data_device};
  // Of caches.
  std::uint32_t cache_blocks = 2;   // resizing reaches up to that
  std::vector<CacheIo> io_modes{CacheIo::writeback};
  std::vector<CachePolicy> policies{CachePolicy::adversary};
};

// What `verb` may mean for that block of that thin.
[[nodiscard]] Operation operation_at(const Menu& menu, Verb verb, std::uint32_t thin,
                                     std::uint64_t block, Draw& draw);
[[nodiscard]] rc::Gen<Operation> operation(const Menu& menu);
// One to `most` operations.
[[nodiscard]] rc::Gen<std::vector<Operation>> operations(const Menu& menu, std::size_t most);
// Between `least` and `most` actors named a, b, c ..., each with one to `operations_most`.
[[nodiscard]] rc::Gen<std::vector<Actor>> actors(const Menu& menu, std::size_t least,
                                                 std::size_t most, std::size_t operations_most);

// All of it follows from one seed.
[[nodiscard]] rc::Gen<Workload> drawn_by(Workload (*make)(Draw& draw));

// One slow disk or two, or requests that take seconds, or longer than a pool waits for space.
void draw_latency(Draw& draw, FaultSpec& faults);

}   // namespace scenarios
