// Memory that is kept for its next use holds what it held before. Whoever keeps some says so when
// the contents have lost their meaning, so that a tank can tell them from bytes that somebody
// wrote: they must not reach a disk. On real disks nobody listens, and it costs a look at a
// pointer.
#pragma once

#include "engine/base/bytes.h"

namespace engine {

using StaleHook = void (*)(MutableBytes contents) noexcept;

namespace detail {
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): set through the function
// below
inline thread_local StaleHook t_stale_hook = nullptr;
}   // namespace detail

// For the calling thread; null to listen no more. The hook may overwrite the contents. It must not
// suspend: callers may hold a raw lock.
inline void listen_to_stale(StaleHook hook) noexcept {
  detail::t_stale_hook = hook;
}

inline void contents_are_stale(MutableBytes contents) noexcept {
  if (detail::t_stale_hook != nullptr) [[unlikely]]
    detail::t_stale_hook(contents);
}

}   // namespace engine
