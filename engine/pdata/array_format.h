// One block of an array as it lies on disk, and views of it that check indices.
// docs/format/array.md.
//
// A block that passed kArrayValidator has bounds that fit and nr_entries <= max_entries, so the
// views below stay inside the block for any index below nr_entries. Value size and capacity are the
// array's affair: it must compare them with what it expects.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "engine/base/bytes.h"
#include "engine/base/check.h"
#include "engine/base/units.h"
#include "engine/pdata/validator.h"

namespace engine::pdata {

struct ArrayHeaderDisk {
  Le32 checksum;
  Le32 max_entries;
  Le32 nr_entries;
  Le32 value_size;
  Le64 block;   // here, and not at 8 as in other blocks
  // then max_entries values side by side
};
static_assert(sizeof(ArrayHeaderDisk) == 24 && alignof(ArrayHeaderDisk) == 1);
static_assert(offsetof(ArrayHeaderDisk, block) == 16);

inline constexpr std::uint32_t kArraySalt = 595846735;

constexpr std::uint32_t array_entries_for(std::uint32_t value_size) noexcept {
  return (kMetaBlockSize - std::uint32_t{sizeof(ArrayHeaderDisk)}) / value_size;
}
static_assert(array_entries_for(8) == 509 && array_entries_for(4) == 1018);

class ArrayValidator final : public Validator {
 public:
  constexpr ArrayValidator() noexcept
      : Validator{"array block", kArraySalt, offsetof(ArrayHeaderDisk, block)} {}
  constexpr ~ArrayValidator() override {}

 protected:
  [[nodiscard]] Result<void> check_content(MetaBlock block, ConstBytes bytes) const override;
};
inline constexpr ArrayValidator kArrayValidator{};

class ArrayBlockView {
 public:
  explicit ArrayBlockView(ConstBytes bytes) noexcept : bytes_{bytes} {}

  [[nodiscard]] std::uint32_t nr_entries() const noexcept { return header().nr_entries.value(); }
  [[nodiscard]] std::uint32_t max_entries() const noexcept { return header().max_entries.value(); }
  [[nodiscard]] std::uint32_t value_size() const noexcept { return header().value_size.value(); }
  [[nodiscard]] ConstBytes value(std::uint32_t slot) const noexcept {
    ENGINE_CHECK(slot < nr_entries());
    return bytes_.subspan(offset(slot), value_size());
  }

 protected:
  [[nodiscard]] std::size_t offset(std::uint32_t slot) const noexcept {
    return sizeof(ArrayHeaderDisk) + std::size_t{slot} * value_size();
  }

 private:
  [[nodiscard]] const ArrayHeaderDisk& header() const noexcept {
    return view_as<ArrayHeaderDisk>(bytes_);
  }
  ConstBytes bytes_;
};

// A block that may be changed. What is cut off its end is zeroed.
class ArrayBlockEdit : public ArrayBlockView {
 public:
  explicit ArrayBlockEdit(MutableBytes bytes) noexcept : ArrayBlockView{bytes}, mutable_{bytes} {}

  // Without entries.
  void init(std::uint32_t value_size, std::uint32_t max_entries) noexcept;
  void set_value(std::uint32_t slot, ConstBytes value) noexcept;
  // Shrinks, or grows with copies of `value`; at most max_entries.
  void resize(std::uint32_t nr_entries, ConstBytes value) noexcept;

 private:
  [[nodiscard]] ArrayHeaderDisk& mutable_header() noexcept {
    return view_as<ArrayHeaderDisk>(mutable_);
  }
  MutableBytes mutable_;
};

}   // namespace engine::pdata
