// For targets whose state belongs to one worker: control actions of other fibers run there.
#pragma once

#include <optional>
#include <type_traits>
#include <utility>

#include "engine/fiber/completion.h"
#include "engine/fiber/work_queue.h"

namespace engine::io {

// Runs `action()` on the worker and returns what it returns, which is not void. Suspends. Called on
// the worker itself it runs at once.
template <typename Action>
auto on_worker(WorkQueue& worker, const char* name, Action&& action) {
  if (worker.on_worker()) return action();
  using Value = decltype(action());
  struct Call {
    std::remove_reference_t<Action>* action;
    std::optional<Value> value;
    Completion done{"io.on_worker"};
  } call{&action, std::nullopt};
  Work work{name,
            [](void* argument) {
              auto& mine = *static_cast<Call*>(argument);
              mine.value.emplace((*mine.action)());
              mine.done.signal();
            },
            &call};
  worker.queue(work);
  call.done.wait();
  return std::move(*call.value);
}

}   // namespace engine::io
