#include "sim/library/thread.h"

#include "sim/execution.h"

namespace sim {

void Thread::tell_end() noexcept {
  if (auto* const execution = dynamic_cast<Execution*>(&engine::current_executor()))
    execution->ends_with(ended_.object());
}

}   // namespace sim
