// Seed 004: the worker goes from thin to thin and works on each; it must do so without blocking in
// a read section, and the thins come and go meanwhile. The pieces: few prison cells, one thin that
// keeps the worker busy, and two control programs that remove and make the others; suspends and
// snapshots, which go through the list on fibers of their own.
#include "scenarios/generate.h"
#include "scenarios/scenario.h"

namespace scenarios::thin {

rc::Gen<Workload> worker_iteration() {
  const auto draw = [](std::uint32_t least, std::uint32_t most) {
    return rc::gen::resize(rc::kNominalSize, rc::gen::inRange<std::uint32_t>(least, most));
  };
  const Menu coming_and_going{.verbs = {{8, Verb::deactivate},
                                        {3, Verb::activate},
                                        {3, Verb::bounce_pool},
                                        {1, Verb::bounce_thin},
                                        {1, Verb::create_snap},
                                        {1, Verb::write}},
                              .thins = 3};
  const Menu writing{
      .verbs = {{4, Verb::write}, {1, Verb::read}, {1, Verb::flush}}, .thins = 3, .blocks = 2};
  return rc::gen::map(rc::gen::tuple(draw(1, 4), draw(0, 3), operations(coming_and_going, 3),
                                     operations(writing, 3), operations(coming_and_going, 3)),
                      [](const auto& drawn) {
                        const auto& [thins, cells, first, second, third] = drawn;
                        Workload workload;
                        workload.scenario = "thin-worker-iteration";
                        workload.system.data_blocks = 8;
                        workload.system.data_device_blocks = 8;
                        workload.system.cells = cells;
                        for (std::uint32_t id = 0; id < thins; ++id)
                          workload.system.thins.push_back({id, 2});
                        workload.actors = {
                            {"remover", first}, {"writer", second}, {"other", third}};
                        return workload;
                      });
}

}   // namespace scenarios::thin
