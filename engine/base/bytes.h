// Little-endian fields of on-disk structures: unaligned, one byte alignment, no padding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <boost/endian/buffers.hpp>

namespace engine {

using Le16 = boost::endian::little_uint16_buf_t;
using Le32 = boost::endian::little_uint32_buf_t;
using Le64 = boost::endian::little_uint64_buf_t;

using ConstBytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

// What memory that nobody owns is filled with, where it is filled.
inline constexpr std::byte kPoisonByte{0x6b};

// `bytes` seen as the on-disk structure T, whose members must all have alignment one.
template <typename T>
[[nodiscard]] const T& view_as(ConstBytes bytes) noexcept {
  static_assert(alignof(T) == 1);
  return *reinterpret_cast<const T*>(bytes.data());
}
template <typename T>
[[nodiscard]] T& view_as(MutableBytes bytes) noexcept {
  static_assert(alignof(T) == 1);
  return *reinterpret_cast<T*>(bytes.data());
}

}   // namespace engine
