#include "scenarios/shrink.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <rapidcheck.h>
#include <rapidcheck/seq/Create.h>
#include <rapidcheck/seq/Transform.h>

#include "scenarios/limits.h"
#include "scenarios/shrink_operations.h"

namespace scenarios {
namespace {

using Workloads = std::vector<Workload>;

template <typename Change>
void with(Workloads& into, const Workload& workload, Change&& change) {
  Workload smaller = workload;
  change(smaller);
  if (smaller != workload && !unusable(smaller)) into.push_back(std::move(smaller));
}

Workloads without_faults(const Workload& workload) {
  Workloads smaller;
  with(smaller, workload, [](Workload& each) { each.faults = {}; });
  for (std::uint32_t FaultSpec::* const kind :
       {&FaultSpec::power_cuts, &FaultSpec::metadata_read_errors, &FaultSpec::metadata_write_errors,
        &FaultSpec::data_read_errors, &FaultSpec::data_write_errors, &FaultSpec::data_no_space,
        &FaultSpec::metadata_latency_ms, &FaultSpec::data_latency_ms, &FaultSpec::stalls,
        &FaultSpec::stall_ms}) {
    with(smaller, workload, [&](Workload& each) { each.faults.*kind = 0; });
    with(smaller, workload,
         [&](Workload& each) { each.faults.*kind = std::min(each.faults.*kind, 1U); });
  }
  with(smaller, workload, [](Workload& each) { each.faults.slow_at = SlowAt::all; });
  return smaller;
}

// Two that come one after the other need no schedule between them.
Workloads with_joined_actors(const Workload& workload) {
  Workloads smaller;
  for (std::size_t i = 0; i < workload.actors.size(); ++i) {
    for (std::size_t j = 0; j < workload.actors.size(); ++j) {
      if (i == j) continue;
      with(smaller, workload, [&](Workload& each) {
        std::vector<Operation>& first = each.actors[i].operations;
        const std::vector<Operation>& then = workload.actors[j].operations;
        first.insert(first.end(), then.begin(), then.end());
        each.actors.erase(each.actors.begin() + static_cast<std::ptrdiff_t>(j));
      });
    }
  }
  return smaller;
}

// One after the other needs no schedule: an actor's first operation, done before the others start.
Workloads with_more_setup(const Workload& workload) {
  Workloads smaller;
  for (std::size_t i = 0; i < workload.actors.size(); ++i) {
    if (workload.actors[i].operations.empty()) continue;
    with(smaller, workload, [&](Workload& each) {
      std::vector<Operation>& operations = each.actors[i].operations;
      each.setup.push_back(operations.front());
      operations.erase(operations.begin());
      if (operations.empty())
        each.actors.erase(each.actors.begin() + static_cast<std::ptrdiff_t>(i));
    });
  }
  return smaller;
}

[[nodiscard]] bool names_table(Verb verb) noexcept {
  return verb == Verb::load_cache || verb == Verb::reload_cache;
}

// Plainer forms of one operation: no flags, a whole block instead of two, one sector of it, thin 0.
std::vector<Operation> plainer(const Operation& operation, std::uint64_t block_sectors) {
  std::vector<Operation> forms;
  const auto add = [&](auto&& change) {
    Operation form = operation;
    change(form);
    if (!(form == operation)) forms.push_back(form);
  };
  add([](Operation& form) { form.fua = form.noflush = false; });
  if (is_transfer(operation.verb)) {
    if (operation.sectors > block_sectors)
      add([&](Operation& form) { form.sectors = block_sectors; });
    if (operation.verb != Verb::discard && operation.sectors > 1)
      add([](Operation& form) { form.sectors = 1; });
    add([](Operation& form) { form.sector = 0; });
    if (operation.sector >= block_sectors)
      add([&](Operation& form) { form.sector -= block_sectors; });
    if (operation.sector % block_sectors != 0)
      add([&](Operation& form) { form.sector -= form.sector % block_sectors; });
    if (operation.verb == Verb::write_zeroes) add([](Operation& form) { form.verb = Verb::write; });
  }
  if (operation.verb == Verb::reload_pool)
    add([](Operation& form) { form.verb = Verb::bounce_pool; });
  if (operation.verb == Verb::reload_cache || operation.verb == Verb::resize_cache)
    add([](Operation& form) { form = Operation{.verb = Verb::bounce_cache}; });
  if (names_table(operation.verb)) {
    add([](Operation& form) { form.policy = CachePolicy::direct; });
    add([](Operation& form) { form.io_mode = CacheIo::writeback; });
  }
  if (operation.verb == Verb::bounce_stack) {
    for (const Verb verb : {Verb::bounce_cache, Verb::bounce_pool})
      add([&](Operation& form) { form = Operation{.verb = verb, .noflush = operation.noflush}; });
  }
  add([](Operation& form) { form.thin = 0; });
  return forms;
}

// Where it begins, one block; of a write or a read a sector.
Operation plain_transfer(Operation operation, std::uint64_t block_sectors) {
  if (!is_transfer(operation.verb) || operation.sectors == 0) return operation;
  operation.fua = false;
  operation.sector -= operation.sector % block_sectors;
  operation.sectors = operation.verb == Verb::discard ? block_sectors : 1;
  return operation;
}

Workloads plainer_operations(const Workload& workload) {
  Workloads smaller;
  const auto each_list = [&](std::size_t list, const std::vector<Operation>& operations) {
    for (std::size_t i = 0; i < operations.size(); ++i) {
      for (const Operation& form : plainer(operations[i], workload.system.block_sectors)) {
        with(smaller, workload, [&](Workload& each) {
          (list == each.actors.size() ? each.setup : each.actors[list].operations)[i] = form;
        });
      }
    }
  };
  with(smaller, workload, [&](Workload& each) {
    const auto plain = [&](std::vector<Operation>& operations) {
      for (Operation& operation : operations)
        operation = plain_transfer(operation, workload.system.block_sectors);
    };
    plain(each.setup);
    for (Actor& actor : each.actors)
      plain(actor.operations);
  });
  for (std::size_t list = 0; list < workload.actors.size(); ++list)
    each_list(list, workload.actors[list].operations);
  each_list(workload.actors.size(), workload.setup);
  return smaller;
}

// A policy that decides nothing: no choice of the schedule's moves a block then, and the text says
// which do. Early, as all that comes after is easier to find then.
Workloads with_plain_policies(const Workload& workload) {
  Workloads smaller;
  if (workload.system.family == FamilyKind::thin) return smaller;
  with(smaller, workload, [](Workload& each) {
    each.system.cache.policy = CachePolicy::direct;
    const auto plain = [](std::vector<Operation>& operations) {
      for (Operation& operation : operations)
        if (names_table(operation.verb)) operation.policy = CachePolicy::direct;
    };
    plain(each.setup);
    for (Actor& actor : each.actors)
      plain(actor.operations);
  });
  with(smaller, workload, [](Workload& each) { each.system.cache.policy = CachePolicy::direct; });
  return smaller;
}

// What the lab does to a cache in the end, done by actors or left out: then a workload shows it.
Workloads without_draining(const Workload& workload) {
  Workloads smaller;
  const SystemSpec& system = workload.system;
  if (system.family == FamilyKind::thin || !system.cache.drained) return smaller;
  with(smaller, workload, [](Workload& each) { each.system.cache.drained = false; });
  if (system.family != FamilyKind::cache) return smaller;
  with(smaller, workload, [&](Workload& each) {
    each.system.cache.drained = false;
    Actor user{.name = "user", .operations = {}};
    for (std::uint64_t block = 0; block < system.cache.origin_blocks; ++block)
      user.operations.push_back(
          {.verb = Verb::read, .sector = block * system.block_sectors, .sectors = 1});
    each.actors.push_back(std::move(user));
    each.actors.push_back(
        {"cleaner", {{.verb = Verb::reload_cache, .policy = CachePolicy::cleaner}}});
  });
  return smaller;
}

Workloads plainer_systems(const Workload& workload) {
  Workloads smaller;
  const SystemSpec plain{};
  const auto each_field = [&](auto&& visit) {
    visit(&SystemSpec::metadata_blocks);
    visit(&SystemSpec::metadata_growth_blocks);
    visit(&SystemSpec::low_water_blocks);
    visit(&SystemSpec::skip_block_zeroing);
    visit(&SystemSpec::ignore_discard);
    visit(&SystemSpec::no_discard_passdown);
    visit(&SystemSpec::error_if_no_space);
    visit(&SystemSpec::fan_out);
    visit(&SystemSpec::cells);
    visit(&SystemSpec::commit_interval_ms);
    visit(&SystemSpec::no_space_timeout_ms);
    visit(&SystemSpec::spare_disk);
    visit(&SystemSpec::linear_above);
  };
  with(smaller, workload, [&](Workload& each) {
    each_field([&](auto SystemSpec::* field) { each.system.*field = plain.*field; });
    each.system.data_device_blocks = each.system.data_blocks;
  });
  each_field([&](auto SystemSpec::* field) {
    with(smaller, workload, [&](Workload& each) { each.system.*field = plain.*field; });
  });
  with(smaller, workload, [](Workload& each) {
    each.system.external_sectors = 0;
    for (ThinSpec& thin : each.system.thins)
      thin.external = false;
  });
  with(smaller, workload,
       [](Workload& each) { each.system.data_device_blocks = each.system.data_blocks; });
  if (workload.system.family != FamilyKind::cache && workload.system.data_blocks > 1) {
    with(smaller, workload, [](Workload& each) { lower_pool(each.system, 1); });
  }
  if (workload.system.family != FamilyKind::thin) {
    const auto cache = [&](auto&& change) {
      with(smaller, workload, [&](Workload& each) { change(each.system.cache); });
    };
    cache([](CacheSpec& each) { each.metadata2 = false; });
    cache([](CacheSpec& each) { each.tail_sectors = 0; });
    cache([](CacheSpec& each) { each.threshold = CacheSpec{}.threshold; });
    cache([](CacheSpec& each) { each.blocks_max = each.blocks; });
    cache([](CacheSpec& each) {
      each.blocks = std::max(each.blocks - 1, 1U);
      each.blocks_max = std::max(each.blocks_max - 1, each.blocks);
    });
    cache([](CacheSpec& each) { each.io_mode = CacheIo::writeback; });
    cache([](CacheSpec& each) { each.blocks = each.blocks_max = 1; });
    cache([](CacheSpec& each) {
      each.origin_blocks = std::max<std::uint64_t>(each.origin_blocks - 1, 1);
    });
  }
  if (workload.system.family == FamilyKind::stack) {
    for (bool StackSpec::* const linear :
         {&StackSpec::linear_below, &StackSpec::linear_between, &StackSpec::linear_above})
      with(smaller, workload, [&](Workload& each) { each.system.stack.*linear = false; });
  }
  if (!workload.system.thins.empty())
    with(smaller, workload, [](Workload& each) { each.system.thins.pop_back(); });
  return smaller;
}

}   // namespace

rc::Seq<Workload> shrinks(const Workload& workload) {
  return rc::seq::concat(
      rc::seq::fromContainer(without_faults(workload)),
      rc::seq::fromContainer(without_draining(workload)),
      rc::seq::fromContainer(with_plain_policies(workload)), with_fewer_operations(workload),
      rc::seq::fromContainer(with_joined_actors(workload)),
      rc::seq::fromContainer(with_more_setup(workload)),
      rc::seq::fromContainer(plainer_operations(workload)),
      rc::seq::fromContainer(plainer_systems(workload)), without_pairs(workload));
}

}   // namespace scenarios
