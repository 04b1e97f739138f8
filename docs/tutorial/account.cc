// Two threads pay into one account. Each looks at the balance, thinks, and writes it back.
#include "sim/tank.h"

namespace {

class Account {
 public:
  void pay_in(int amount) {
    const int before = look();
    const engine::MutexLock lock{mutex_};
    balance_.set(before + amount);
  }
  int look() {
    const engine::MutexLock lock{mutex_};
    return balance_.get();
  }

 private:
  engine::Mutex mutex_{"account"};
  sim::Variable<int> balance_{"balance", 0};
};

void two_pay_in() {
  Account account;
  sim::Threads threads;
  threads.start("alice", [&] { account.pay_in(10); });
  threads.start("bob", [&] { account.pay_in(20); });
  threads.join();
  sim::expect(account.look() == 30, "a payment was lost");
}

}   // namespace

int main(int argc, char** argv) {
  return sim::search_main(argc, argv, two_pay_in);
}
