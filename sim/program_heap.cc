#include "sim/program_heap.h"

namespace sim {

constinit thread_local ProgramHeap* t_program_heap = nullptr;

}   // namespace sim
