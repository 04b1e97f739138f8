// What a process that does nothing but run executions should set up once.
#pragma once

namespace sim {

// Keeps the memory of one execution for the next: by default glibc gives it back to the system when
// a simulated disk dies, and half of the time of an I/O goes into getting it again.
void keep_freed_memory() noexcept;

}   // namespace sim
