#include "sim/tanks_own_memory.h"

namespace sim {

constinit thread_local ProgramHeap* t_program_heap = nullptr;

}   // namespace sim
