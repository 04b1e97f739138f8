#include "scenarios/generate.h"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <tuple>
#include <utility>

#include "scenarios/weights.h"

namespace scenarios {
namespace {

// inRange and container scale with RapidCheck's size; ours are small enough to always use in full.
template <typename T>
rc::Gen<T> full(rc::Gen<T> gen) {
  return rc::gen::resize(rc::kNominalSize, std::move(gen));
}

constexpr std::uint32_t kDraws = 1U << 20;   // many more than ids to choose from
constexpr std::uint32_t kLinears = 3;

enum class Shape : std::uint8_t { sector, few, block, straddle, two_blocks };
constexpr std::initializer_list<std::pair<std::size_t, Shape>> kShapes{{5, Shape::sector},
                                                                       {2, Shape::few},
                                                                       {4, Shape::block},
                                                                       {1, Shape::straddle},
                                                                       {1, Shape::two_blocks}};

// The numbers that an operation is made of. Which of them mean something its verb says.
struct Drawn {
  std::uint32_t thin = 0;
  std::uint32_t linear = 0;   // many more than there are
  std::uint32_t other = 0;    // likewise
  std::uint32_t before = 0;   // likewise; where it stays 0, discards begin with `block`
  std::uint64_t block = 0;
  Shape shape = Shape::sector;
  std::uint32_t flags = 0;
};
constexpr std::uint32_t kFlags = 16;

struct Extent {
  std::uint64_t sector;
  std::uint64_t sectors;
};

Extent extent_of(const Menu& menu, std::uint64_t block, Shape shape) {
  const std::uint64_t size = menu.block_sectors;
  const std::uint64_t first = block * size;
  switch (shape) {
    case Shape::sector:
      return {first, 1};
    case Shape::few:
      return {first + size / 2, 8};
    case Shape::block:
      return {first, size};
    case Shape::straddle:
      return block + 1 < menu.blocks ? Extent{first + size - 2, 4} : Extent{first + size - 2, 2};
    case Shape::two_blocks:
      return block + 1 < menu.blocks ? Extent{first, 2 * size} : Extent{first, size};
  }
  return {first, 1};
}

bool moves_whole_blocks(Verb verb) {
  return verb == Verb::discard;
}

// Low ids are the more likely ones, so that operations meet on them.
std::uint32_t often_low(std::uint32_t drawn, std::uint32_t count) {
  return std::min(drawn % count, drawn / count % count);
}

// A snapshot mostly takes an id that is not in use yet, and never its origin's.
void choose_snapshot(const Menu& menu, std::uint32_t drawn, Operation& operation) {
  const std::uint32_t ids = menu.thins + menu.more_thins;
  if (menu.more_thins != 0 && drawn % 4 != 0) {
    operation.thin = menu.thins + drawn / 4 % menu.more_thins;
  } else {
    operation.thin = drawn / 4 % ids;
  }
  if (operation.origin == operation.thin) operation.origin = (operation.thin + 1) % ids;
}

// Which sectors a request is to.
void aim(const Menu& menu, const Drawn& drawn, Operation& operation) {
  const Verb verb = operation.verb;
  const std::uint32_t flags = drawn.flags;
  Shape shape = drawn.shape;
  // A discard of less than a block does nothing: worth trying, but not four times in five.
  if (moves_whole_blocks(verb) && shape != Shape::two_blocks && shape != Shape::straddle)
    shape = Shape::block;
  if (menu.whole_blocks_only && shape != Shape::two_blocks) shape = Shape::block;
  const Extent extent = extent_of(menu, drawn.block, shape);
  operation.sector = extent.sector;
  operation.sectors = extent.sectors;
  if (moves_whole_blocks(verb) && flags % 4 >= 2) {   // some more, perhaps all
    const std::uint64_t begin = drawn.block - drawn.before % (drawn.block + 1);
    const std::uint64_t end = drawn.block + 1 + drawn.other % (menu.blocks - drawn.block);
    operation.sector = begin * menu.block_sectors;
    operation.sectors = (end - begin) * menu.block_sectors;
  }
  if (verb == Verb::write) operation.fua = flags % 8 == 1;
}

// What a table or a message says.
void say(const Menu& menu, const Drawn& drawn, Operation& operation) {
  const std::uint32_t flags = drawn.flags;
  switch (operation.verb) {
    case Verb::contradict:
      operation.contradiction = menu.contradictions[flags % menu.contradictions.size()];
      break;
    case Verb::load_cache:
    case Verb::reload_cache:
      operation.noflush = flags % 4 == 1;
      operation.io_mode = menu.io_modes[drawn.block % menu.io_modes.size()];
      operation.policy = menu.policies[flags / 2 % menu.policies.size()];
      break;
    case Verb::resize_cache:
      operation.sectors = 1 + flags % menu.cache_blocks;
      break;
    case Verb::invalidate:
      operation.sector = flags % menu.cache_blocks;
      operation.sectors = 1 + flags / 8 % 2;
      break;
    case Verb::threshold:
      operation.sectors = std::array<std::uint64_t, 4>{0, 64, 256, 2048}[flags % 4];
      break;
    default:
      break;
  }
}

Operation build(const Menu& menu, Verb verb, const Drawn& drawn) {
  const std::uint32_t flags = drawn.flags;
  Operation operation{.verb = verb, .thin = drawn.thin};
  switch (verb) {
    case Verb::write:
    case Verb::write_zeroes:
    case Verb::read:
    case Verb::discard:
      aim(menu, drawn, operation);
      break;
    case Verb::create_snap:
      operation.origin = drawn.thin;
      choose_snapshot(menu, drawn.other, operation);
      operation.noflush = flags % 4 == 1;
      break;
    case Verb::bounce_thin:
      operation.noflush = flags % 2 == 1;
      break;
    case Verb::bounce_pool:
    case Verb::reload_pool:
    case Verb::bounce_stack:
    case Verb::bounce_cache:
      operation.thin = 0;
      operation.noflush = flags % 2 == 1;
      break;
    case Verb::sleep:
      operation.thin = 0;
      operation.sectors = std::array<std::uint64_t, 4>{10, 1100, 1100, 61000}[flags % 4];
      break;
    case Verb::flush:
    case Verb::create_thin:
    case Verb::delete_thin:
    case Verb::activate:
    case Verb::deactivate:
    case Verb::load_thin:
    case Verb::clear_thin:
      break;
    case Verb::remake_pool:
    case Verb::load_pool:
    case Verb::clear_pool:
    case Verb::set_transaction:
    case Verb::reserve_snap:
    case Verb::release_snap:
    case Verb::grow_data:
    case Verb::grow_metadata:
    case Verb::status:
    case Verb::meet:
    case Verb::clear_cache:
    case Verb::remake_cache:
    case Verb::rival:
    case Verb::remake_stack:
      operation.thin = 0;
      break;
    case Verb::bounce_linear:
      operation.thin = drawn.linear % kLinears;
      operation.noflush = flags % 2 == 1;
      break;
    case Verb::contradict:
    case Verb::load_cache:
    case Verb::reload_cache:
    case Verb::resize_cache:
    case Verb::invalidate:
    case Verb::threshold:
      operation.thin = 0;
      say(menu, drawn, operation);
      break;
  }
  return operation;
}

}   // namespace

Operation operation_at(const Menu& menu, Verb verb, std::uint32_t thin, std::uint64_t block,
                       Draw& draw) {
  Drawn drawn{.thin = thin, .block = block};
  drawn.linear = draw.below(kDraws);
  drawn.other = draw.below(kDraws);
  drawn.before = draw.below(kDraws);
  drawn.shape = at_weight(kShapes, draw.below(static_cast<std::uint32_t>(sum_of(kShapes))));
  drawn.flags = draw.below(kFlags);
  return build(menu, verb, drawn);
}

rc::Gen<Operation> operation(const Menu& menu) {
  // weightedElement wants an initializer list; a draw over the summed weights is the same.
  auto verb =
      rc::gen::map(full(rc::gen::inRange<std::size_t>(0, sum_of(menu.verbs))),
                   [verbs = menu.verbs](std::size_t drawn) { return at_weight(verbs, drawn); });
  auto parts = rc::gen::tuple(std::move(verb), full(rc::gen::inRange<std::uint32_t>(0, kDraws)),
                              full(rc::gen::inRange<std::uint32_t>(0, kDraws)),
                              full(rc::gen::inRange<std::uint64_t>(0, menu.blocks)),
                              rc::gen::weightedElement<Shape>(kShapes),
                              full(rc::gen::inRange<std::uint32_t>(0, kFlags)));
  return rc::gen::map(std::move(parts), [menu](const auto& drawn) {
    const auto& [chosen, who, other, block, shape, flags] = drawn;
    return build(menu, chosen,
                 {.thin = often_low(who, menu.thins + menu.more_thins),
                  .linear = who,
                  .other = other,
                  .block = block,
                  .shape = shape,
                  .flags = flags});
  });
}

rc::Gen<std::vector<Operation>> operations(const Menu& menu, std::size_t most) {
  return rc::gen::mapcat(
      full(rc::gen::inRange<std::size_t>(1, most + 1)), [menu](std::size_t count) {
        return rc::gen::container<std::vector<Operation>>(count, full(operation(menu)));
      });
}

rc::Gen<std::vector<Actor>> actors(const Menu& menu, std::size_t least, std::size_t most,
                                   std::size_t operations_most) {
  // A fixed number of lists, so that shrinking one actor to nothing removes it.
  return rc::gen::mapcat(full(rc::gen::inRange<std::size_t>(least, most + 1)),
                         [menu, operations_most](std::size_t count) {
                           return rc::gen::map(
                               rc::gen::container<std::vector<std::vector<Operation>>>(
                                   count, operations(menu, operations_most)),
                               [](std::vector<std::vector<Operation>> lists) {
                                 std::vector<Actor> made;
                                 for (std::vector<Operation>& list : lists) {
                                   if (list.empty()) continue;
                                   const char letter = static_cast<char>('a' + made.size());
                                   made.push_back(Actor{std::string(1, letter), std::move(list)});
                                 }
                                 return made;
                               });
                         });
}

rc::Gen<Workload> drawn_by(Workload (*make)(Draw& draw)) {
  return rc::gen::map(rc::gen::noShrink(rc::gen::arbitrary<std::uint64_t>()),
                      [make](std::uint64_t seed) {
                        Draw draw{seed};
                        return make(draw);
                      });
}

void draw_latency(Draw& draw, FaultSpec& faults) {
  faults.metadata_latency_ms = draw.of<std::uint32_t>({0, 0, 5, 600});
  faults.data_latency_ms = draw.of<std::uint32_t>({0, 5, 5, 600});
  faults.slow_at = draw.of({SlowAt::all, SlowAt::all, SlowAt::reads, SlowAt::writes,
                            SlowAt::discards, SlowAt::discards, SlowAt::flushes});
  faults.stalls = draw.below(3);
  if (faults.stalls != 0) faults.stall_ms = draw.of<std::uint32_t>({2000, 65000});
}

}   // namespace scenarios
