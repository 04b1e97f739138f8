// Errors are values. `Errc` says what the caller can do about it, `Error` also which block, sector
// or id, and a fixed text naming the field or rule (string literals only: an Error never
// allocates).
#pragma once

#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

#include <tl/expected.hpp>

namespace engine {

enum class Errc : std::uint8_t {
  ok,                  // only as the status of a bio that succeeded
  io_error,            // this transfer failed; the device lives
  power_lost,          // the device is gone for good: stop, do not retry
  corrupt,             // bytes from a device break a rule of the format
  not_found,           // no such id, mapping or key (ENODATA)
  exists,              // EEXIST
  invalid,             // the request breaks a rule (EINVAL)
  busy,                // EBUSY
  no_data_space,       // ENOSPC on the data device
  no_metadata_space,   // ENOSPC on the metadata device
  read_only,           // the pool's or device's mode forbids it (EOPNOTSUPP / EROFS)
  not_supported,       // EOPNOTSUPP
  not_permitted,       // EPERM
  would_block,         // a non-blocking call would have to wait
  requeue,             // handed back by a no-flush suspend: submit it again after resume
  failed,              // the pool is in fail mode
};

[[nodiscard]] constexpr std::string_view to_string(Errc code) noexcept {
  switch (code) {
    case Errc::ok:
      return "ok";
    case Errc::io_error:
      return "I/O error";
    case Errc::power_lost:
      return "power lost";
    case Errc::corrupt:
      return "corrupt";
    case Errc::not_found:
      return "not found";
    case Errc::exists:
      return "already exists";
    case Errc::invalid:
      return "invalid";
    case Errc::busy:
      return "busy";
    case Errc::no_data_space:
      return "out of data space";
    case Errc::no_metadata_space:
      return "out of metadata space";
    case Errc::read_only:
      return "read-only";
    case Errc::not_supported:
      return "not supported";
    case Errc::not_permitted:
      return "not permitted";
    case Errc::would_block:
      return "would block";
    case Errc::requeue:
      return "requeued";
    case Errc::failed:
      return "pool failed";
  }
  return "unknown";
}

struct Error {
  Errc code = Errc::io_error;
  std::uint64_t where = 0;   // the block, sector or id that `what` speaks of
  const char* what = "";     // a string literal, may be empty

  friend bool operator==(const Error& a, const Error& b) noexcept {
    return a.code == b.code && a.where == b.where;
  }
};

// tl::expected 1.0 is not [[nodiscard]]; this is.
template <typename T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
};

using Failure = tl::unexpected<Error>;
[[nodiscard]] inline Failure fail(Errc code, std::uint64_t where = 0, const char* what = "") {
  return Failure{Error{code, where, what}};
}

}   // namespace engine

// Leave the enclosing function with the error of `expr`. The only control-flow macros we have.
#define ENGINE_TRY(expr)                                      \
  do {                                                        \
    if (auto engine_try_ = (expr); !engine_try_) [[unlikely]] \
      return ::engine::Failure{engine_try_.error()};          \
  } while (false)
#define ENGINE_TRY_ASSIGN(decl, expr) ENGINE_TRY_ASSIGN_AT(decl, expr, __COUNTER__)
#define ENGINE_TRY_ASSIGN_AT(decl, expr, n) ENGINE_TRY_ASSIGN_CAT(decl, expr, n)
#define ENGINE_TRY_ASSIGN_CAT(decl, expr, n) ENGINE_TRY_ASSIGN_AS(decl, expr, engine_try_##n)
#define ENGINE_TRY_ASSIGN_AS(decl, expr, result) \
  auto result = (expr);                          \
  if (!result) [[unlikely]]                      \
    return ::engine::Failure{(result).error()};  \
  decl = *std::move(result)
