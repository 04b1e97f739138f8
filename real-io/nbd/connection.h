// One client: a fiber that reads and judges requests, block I/O that they turn into, and replies
// gathered into one send a round. All of it lives on one reactor; an I/O that ends on another one
// comes home as a message.
//
// Memory is bounded: at most Limits::requests under way with at most Limits::bytes of buffers
// between them (or a single larger request); the fiber stops reading until some have been answered
// *and* sent. Nothing a peer says reaches a device before its header has been judged.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <sys/socket.h>
#include <sys/uio.h>

#include <boost/intrusive/list_hook.hpp>
#include <boost/intrusive/slist.hpp>

#include "engine/env/bio.h"
#include "engine/fiber/event.h"
#include "real-io/nbd/buffer_pool.h"
#include "real-io/nbd/handshake.h"
#include "real-io/nbd/request.h"
#include "real-io/reactor.h"

namespace real_io::nbd {

class Server;

class Connection {
 public:
  struct Limits {
    std::size_t requests = 256;
    std::size_t bytes = std::size_t{48} << 20;
  };

  // Takes `fd`. On the reactor that will serve it.
  Connection(Server& server, BufferPool& buffers, int fd, std::uint64_t number);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Suspends. The whole life of the connection; on return nothing of it is under way.
  void serve();
  // Own reactor. No further requests are read; those under way are answered.
  void stop() noexcept;
  // Own reactor, after stop(). The peer hears no more; those under way stop after their piece.
  void cut() noexcept;

  boost::intrusive::list_member_hook<> hook;   // the server's list
  Reactor& home;

 private:
  struct Call;
  struct CallHook : boost::intrusive::slist_base_hook<> {};
  using CallList = boost::intrusive::slist<CallHook, boost::intrusive::cache_last<true>,
                                           boost::intrusive::constant_time_size<false>>;
  // An operation that a fiber waits for.
  struct Awaited : Operation {
    using Operation::Operation;
    Connection* connection = nullptr;
    engine::Fiber* fiber = nullptr;
    std::int32_t result = 0;
    bool done = false;
  };
  struct FlushJob : Deferred {
    using Deferred::Deferred;
    Connection* connection = nullptr;
  };

  bool negotiate();
  void transmit();
  // Suspends. At least `size` unread bytes in the stream buffer; false when the peer is gone.
  bool fill(std::size_t size);
  // Suspends. One receive into `rest` and then the stream buffer; bytes, or <= 0.
  std::int32_t receive(engine::MutableBytes rest);
  bool receive_payload(engine::MutableBytes payload);
  bool skip_payload(std::size_t size);
  bool send_now(engine::ConstBytes bytes);
  std::int32_t await(Awaited& operation);
  void wait_for_room(std::size_t bytes);
  void drain();
  void hostile(std::string_view what);

  Call& take_call(const Request& request);
  void release_buffer(Call& call) noexcept;
  void give_back(Call& call) noexcept;
  void tell_whether_busy() noexcept;
  [[nodiscard]] bool room_for(std::size_t bytes) const noexcept;
  // Own reactor. Submits pieces until one is under way or all have ended.
  void advance(Call& call);
  bool next_piece(Call& call);
  static void piece_ended(engine::Bio& bio);
  void finish_piece(Call& call);
  static void take_result(Call& call);
  void answer(Call& call, NbdError error);
  void encode(Call& call) const;
  void send_replies();
  void sent(std::int32_t result);
  void fail_sends() noexcept;
  void wake_reader() noexcept;

  static void prepare_receive(Operation& self, io_uring_sqe& entry) noexcept;
  static void prepare_send_now(Operation& self, io_uring_sqe& entry) noexcept;
  static void prepare_send(Operation& self, io_uring_sqe& entry) noexcept;
  static void awaited_done(Operation& self, std::int32_t result, std::uint32_t flags);

  // From so many under way on, and until there is none, what looking out for the next thing gains
  // is worth its cost: measured, docs/performance.md.
  static constexpr std::size_t kBusyTransfers = 16;
  static constexpr std::size_t kStreamBytes = std::size_t{128} << 10;
  static constexpr std::size_t kSendBatch = 128;   // replies in one send

  Server& server_;
  BufferPool& buffers_;
  const int fd_;
  const std::uint64_t number_;
  Limits limits_;
  std::shared_ptr<const Export> export_;   // keeps the device in use
  engine::BlockDevice* device_ = nullptr;
  ExportFacts facts_;
  bool structured_ = false;
  bool stopping_ = false;
  bool cut_ = false;
  bool broken_ = false;   // sends no longer reach the peer

  // Received and not yet used: [begin, end) of stream_.
  BufferPool::Buffer stream_;
  std::size_t stream_begin_ = 0;
  std::size_t stream_end_ = 0;
  std::array<iovec, 2> receive_vectors_{};
  msghdr receive_message_{};
  Awaited receive_{&Connection::prepare_receive, &Connection::awaited_done};
  Awaited send_now_{&Connection::prepare_send_now, &Connection::awaited_done};
  engine::ConstBytes send_now_bytes_;

  std::vector<std::unique_ptr<Call>> calls_;
  std::vector<Call*> free_calls_;
  std::size_t calls_alive_ = 0;
  std::size_t transfers_alive_ = 0;   // reads and writes among them
  bool busy_ = false;                 // the reactor has been told
  std::size_t bytes_alive_ = 0;
  engine::Fiber* waiting_reader_ = nullptr;   // for room, or for the last answer
  engine::SyncObject room_{engine::ObjectKind::condition, "nbd.room"};

  CallList answered_;   // waiting to be sent
  CallList sending_;    // in the send under way
  bool send_busy_ = false;
  std::array<iovec, 2 * kSendBatch> send_vectors_{};
  std::size_t send_first_ = 0;   // vectors that went out whole
  std::size_t send_count_ = 0;
  msghdr send_message_{};
  struct SendOperation : Operation {
    using Operation::Operation;
    Connection* connection = nullptr;
  } send_;
  FlushJob flush_job_;
};

}   // namespace real_io::nbd
