#include "scenarios/family.h"

#include "scenarios/cache/options.h"
#include "scenarios/cache/volume.h"
#include "scenarios/stack/stack.h"
#include "scenarios/thin/options.h"
#include "scenarios/thin/volumes.h"

namespace scenarios {

// The layers' targets outlive the system that has them in its registry.
Family::~Family() {
  kit_.bench.system.reset();
}

void Family::boot() {
  for (const auto& layer : layers_)
    layer->make_targets();
  kit_.bench.system = std::make_unique<engine::dm::System>(kit_.bench.world.env());
  for (const auto& layer : layers_)
    layer->add_targets(kit_.bench.system->registry());
  bring_up();
}

void Family::bring_up() {
  for (const auto& layer : layers_)
    layer->bring_up();
}

void Family::make_volumes() {
  for (const auto& layer : layers_)
    layer->make_volumes();
}

void Family::perform(const Operation& operation) {
  for (const auto& layer : layers_)
    layer->perform(operation);
}

void Family::judge_at_rest() {
  for (const auto& layer : layers_)
    layer->judge_at_rest();
}

void Family::shut_down() {
  kit_.control.shut_down();
  for (const auto& layer : layers_)
    layer->end_system();
}

void Family::judge_image(Image which) {
  for (const auto& layer : layers_)
    layer->judge_image(which);
}

std::unique_ptr<Family> family_of(World& world, const Workload& workload) {
  std::unique_ptr<Family> family;
  switch (workload.system.family) {
    case FamilyKind::thin:
      family = std::make_unique<Family>(world, workload, thin::oracle_options(workload));
      family->add(std::make_unique<thin::Volumes>(family->kit(), workload, thin::Below{}));
      break;
    case FamilyKind::cache:
      family = std::make_unique<Family>(world, workload, cache::oracle_options());
      family->add(std::make_unique<cache::Volume>(family->kit(), workload, cache::Around{}));
      break;
    case FamilyKind::stack:
      family = std::make_unique<stack::Stack>(world, workload);
      break;
  }
  return family;
}

}   // namespace scenarios
