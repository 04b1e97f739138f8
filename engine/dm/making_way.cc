#include "engine/dm/making_way.h"

#include <optional>
#include <utility>

namespace engine::dm {

bool MakingWay::begin_flush() {
  const RawGuard guard{raw_};
  flushing_ = coming_ == 0;
  return flushing_;
}

void MakingWay::end_flush() {
  std::optional<Completion> end;
  {
    const RawGuard guard{raw_};
    flushing_ = false;
    if (!handing_back_) return;
    end_ = &end.emplace("mapped.making_way");
  }
  end->wait();
}

bool MakingWay::coming() {
  const RawGuard guard{raw_};
  ++coming_;
  handing_back_ |= flushing_;
  return std::exchange(flushing_, false);
}

void MakingWay::handed_back() {
  Completion* end = nullptr;
  {
    const RawGuard guard{raw_};
    handing_back_ = false;
    end = std::exchange(end_, nullptr);
  }
  if (end != nullptr) end->signal();
}

void MakingWay::has_come() {
  const RawGuard guard{raw_};
  --coming_;
}

}   // namespace engine::dm
