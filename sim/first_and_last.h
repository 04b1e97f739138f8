// Of things that come one after the other the first and the last ones, however many there are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace sim {

template <typename T>
class FirstAndLast {
 public:
  FirstAndLast(std::size_t first_max, std::size_t last_max) noexcept
      : first_max_{first_max}, last_max_{last_max} {}

  T& add(T each) {
    ++count_;
    if (first_.size() < first_max_) return first_.emplace_back(std::move(each));
    if (last_.size() < last_max_) return last_.emplace_back(std::move(each));
    T& oldest = last_[oldest_];
    oldest_ = (oldest_ + 1) % last_max_;
    return oldest = std::move(each);
  }
  // When all have come: fewer of them.
  void narrow(std::size_t first_max, std::size_t last_max) {
    if (kept() <= first_max + last_max) return;
    std::vector<T> last;
    for (std::size_t i = kept() - last_max; i < kept(); ++i)
      last.push_back((*this)[i]);
    if (first_.size() > first_max)
      first_.erase(first_.begin() + static_cast<std::ptrdiff_t>(first_max), first_.end());
    last_ = std::move(last);
    oldest_ = 0;
  }
  void clear() noexcept {
    first_.clear();
    last_.clear();
    count_ = oldest_ = 0;
  }

  // That have come.
  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  [[nodiscard]] std::uint64_t left_out() const noexcept { return count_ - kept(); }
  [[nodiscard]] std::size_t kept() const noexcept { return first_.size() + last_.size(); }
  // In the order in which they came; what is left out lies before number `gap()`.
  [[nodiscard]] const T& operator[](std::size_t i) const noexcept {
    if (i < first_.size()) return first_[i];
    return last_[(oldest_ + i - first_.size()) % last_.size()];
  }
  [[nodiscard]] std::size_t gap() const noexcept { return first_.size(); }
  // How many of those kept came before the one that `before` had come before.
  [[nodiscard]] std::size_t place_of(std::uint64_t before) const noexcept {
    if (before <= first_.size()) return static_cast<std::size_t>(before);
    const std::uint64_t resumes = first_.size() + left_out();
    return first_.size() +
           static_cast<std::size_t>(before > resumes ? before - resumes : std::uint64_t{0});
  }

 private:
  std::size_t first_max_;
  std::size_t last_max_;
  std::uint64_t count_ = 0;
  std::size_t oldest_ = 0;   // of last_, when it is full
  std::vector<T> first_;
  std::vector<T> last_;
};

}   // namespace sim
