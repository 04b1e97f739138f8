#include "real-io/blocking_helper.h"

#include <memory>
#include <utility>

namespace real_io {

struct BlockingHelper::Request : Message {
  Request(Reactor& home, std::function<std::int32_t()> work,
          std::function<void(std::int32_t)> when_done)
      : Message{[](Message& self, Reactor&) {
          const std::unique_ptr<Request> arrived{static_cast<Request*>(&self)};
          arrived->done(arrived->result);
        }},
        reactor{home},
        job{std::move(work)},
        done{std::move(when_done)} {}
  Reactor& reactor;
  std::function<std::int32_t()> job;
  std::function<void(std::int32_t)> done;
  std::int32_t result = 0;
};

BlockingHelper::~BlockingHelper() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
  }
  more_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void BlockingHelper::run(Reactor& here, std::function<std::int32_t()> job,
                         std::function<void(std::int32_t)> done) {
  {
    const std::lock_guard lock{mutex_};
    requests_.push_back(new Request{here, std::move(job), std::move(done)});
    if (!thread_.joinable()) thread_ = std::thread{[this] { thread_main(); }};
  }
  more_.notify_one();
}

void BlockingHelper::thread_main() {
  std::unique_lock lock{mutex_};
  for (;;) {
    more_.wait(lock, [this] { return stopping_ || !requests_.empty(); });
    if (requests_.empty()) return;
    Request& request = *requests_.front();
    requests_.pop_front();
    lock.unlock();
    request.result = request.job();
    request.reactor.post(request);
    lock.lock();
  }
}

}   // namespace real_io
