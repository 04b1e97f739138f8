// What a checker says when it found something. Checkers return findings and never assert, so that
// one run can report several and shrinking can ask "the same one still?".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace checkers {

struct Finding {
  std::string checker;   // "data_oracle", "thin_image", "leaks" ...
  // What kind of defect, the same for every occurrence: findings with equal checker and kind are
  // one defect found again.
  std::string kind;
  std::string message;   // this occurrence, with its numbers
};

class Findings {
 public:
  template <typename... Args>
  void add(std::string_view checker, std::string_view kind, fmt::format_string<Args...> format,
           Args&&... args) {
    list_.push_back(Finding{std::string{checker}, std::string{kind},
                            fmt::format(format, std::forward<Args>(args)...)});
  }
  [[nodiscard]] bool empty() const noexcept { return list_.empty(); }
  [[nodiscard]] const std::vector<Finding>& list() const noexcept { return list_; }

 private:
  std::vector<Finding> list_;
};

}   // namespace checkers
