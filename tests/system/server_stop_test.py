"""A server that is told to stop does, whatever its clients and its devices are waiting for; and what
it leaves behind is sound."""

import contextlib
import fcntl
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import case, nbd, pools, server

MIB = 1 << 20
BLOCK = 64 << 10
STOP_SECONDS = 10
NO_SPACE, IO = 28, 5


def contents(number):
    return bytes([number % 255 + 1]) * BLOCK


@case.needs_programs
class ServerStop(case.SystemTest):
    SIZE = 64 * MIB

    def serve(self, data_bytes=128 * MIB, cached=False):
        """A server with one thin, `0`, whose first block is written and flushed.

        `cached`: the pool's data is on a cache called bulk.
        """
        self.meta, self.data = self.folder / "meta.img", self.folder / "data.img"
        for path, size in ((self.meta, 4 * MIB), (self.data, data_bytes)):
            with open(path, "wb") as file:
                file.truncate(size)
        extra = ["--cache", f"bulk:metadata={self.folder}/cmeta.img,fast={self.folder}/fast.img,"
                 f"origin={self.data}"] if cached else []
        subject = server.Wavetankd(self.folder, self.meta, "bulk" if cached else self.data,
                                   {0: self.SIZE}, extra=extra)
        self.addCleanup(subject.kill)
        client = nbd.Client(subject.socket, "0")
        client.write_at(0, contents(0))
        client.flush()
        client.close()
        return subject

    def client(self, subject):
        client = nbd.Client(subject.socket, "0")
        self.addCleanup(client.close)
        return client

    def control_client(self, subject):
        peer = socket.socket(socket.AF_UNIX)
        self.addCleanup(peer.close)
        peer.connect(str(subject.control_path))
        return peer

    def assert_stops(self, subject, within=STOP_SECONDS):
        begin = time.monotonic()
        subject.stop(STOP_SECONDS)
        self.assertLess(time.monotonic() - begin, within)
        status, said = server.check_thin(self.meta)
        self.assertEqual(status, 0, said)
        self.assertIsNone(pools.thin_check(self.meta))

    def assert_holds(self, *numbers):
        """The blocks of these numbers have their contents when the pool is opened again."""
        with server.Wavetankd(self.folder, self.meta, self.data, {0: self.SIZE}) as subject:
            client = nbd.Client(subject.socket, "0")
            for number in numbers:
                self.assertEqual(client.read_at(number * BLOCK, BLOCK), contents(number))
            client.close()

    def deaf_control_client(self, subject):
        """Asks until the server takes no more, and reads nothing."""
        peer = self.control_client(subject)
        peer.settimeout(1)
        with contextlib.suppress(TimeoutError):
            while True:
                peer.sendall(b"table 0\n" * 1000)

    def test_with_nothing_to_wait_for(self):
        subject = self.serve()
        client = self.client(subject)
        client.write_at(BLOCK, contents(1))
        self.assert_stops(subject, within=2)
        self.assert_holds(0, 1)

    def test_with_a_control_client_that_does_not_read(self):
        subject = self.serve()
        self.deaf_control_client(subject)
        self.assert_stops(subject)
        self.assert_holds(0)

    def test_with_an_nbd_client_that_does_not_read(self):
        subject = self.serve()
        client = self.client(subject)
        client.write_at(BLOCK, contents(1))
        for _ in range(40):
            client.submit(nbd.READ, 0, 8 * MIB)
        time.sleep(0.5)
        self.assert_stops(subject)
        self.assert_holds(0, 1)

    def test_a_second_signal_ends_the_patience(self):
        subject = self.serve()
        self.deaf_control_client(subject)
        subject.signal(signal.SIGTERM)
        time.sleep(0.5)
        self.assertTrue(subject.running())
        self.assert_stops(subject, within=2)   # with another one

    def stopping(self, seconds):
        """A server that has been told to stop, and will in so many; when `answers` are taken."""
        subject = self.serve()
        client = self.client(subject)
        for _ in range(40):
            client.submit(nbd.READ, 0, 8 * MIB)
        time.sleep(0.5)
        subject.signal(signal.SIGTERM)
        time.sleep(0.2)
        self.assertTrue(subject.running())
        threading.Timer(seconds, client.close).start()
        return subject

    def assert_serves(self, command, subject, name):
        """The server of `command` does, on the sockets of one that is stopping."""
        with server.Server(command, self.folder, subject.socket) as successor:
            while subject.running():
                time.sleep(0.01)
            time.sleep(0.1)
            client = nbd.Client(successor.socket, name)
            self.assertEqual(len(client.read_at(0, BLOCK)), BLOCK)
            client.close()
            with socket.socket(socket.AF_UNIX) as peer:
                peer.connect(str(subject.control_path))

    def test_with_a_successor_on_the_same_files(self):
        subject = self.stopping(1)
        self.assert_serves(subject.command, subject, "0")
        self.assert_holds(0)

    def test_with_a_successor_that_takes_the_sockets_alone(self):
        subject = self.stopping(1)
        other = self.folder / "other.img"
        with open(other, "wb") as file:
            file.truncate(MIB)
        self.assert_serves([str(case.program("wavetankd")), "serve", "--raw", f"o={other}",
                            "--listen", f"unix:{subject.socket}",
                            "--control", str(subject.control_path)], subject, "o")

    def test_of_two_that_start_at_once_one_serves(self):
        subject = self.serve()
        subject.signal(signal.SIGTERM)
        while subject.running():
            time.sleep(0.01)
        for _ in range(6):
            with open(self.data, "rb") as held:
                fcntl.flock(held, fcntl.LOCK_EX)   # both wait for it
                both = [subprocess.Popen(subject.command, stderr=subprocess.DEVNULL)
                        for _ in range(2)]
                time.sleep(0.3)
            client = None
            end = time.monotonic() + 2
            while client is None and time.monotonic() < end:
                try:
                    client = nbd.Client(subject.socket, "0")
                except OSError:
                    time.sleep(0.01)
            for process in both:
                process.kill()
                process.wait()
            self.assertIsNotNone(client, "nobody can be reached")

    def test_with_a_write_to_a_suspended_thin(self):
        subject = self.serve()
        client = self.client(subject)
        subject.control("suspend 0")
        client.submit(nbd.WRITE, BLOCK, data=contents(1))
        time.sleep(0.2)
        self.assert_stops(subject, within=2)
        self.assertEqual(client.reap()[1], IO)
        self.assert_holds(0)

    def test_with_a_write_under_a_suspended_pool(self):
        for kind in ("", " noflush"):
            with self.subTest(kind):
                subject = self.serve()
                client = self.client(subject)
                subject.control("suspend pool" + kind)
                client.submit(nbd.WRITE, BLOCK, data=contents(1))
                time.sleep(0.2)
                self.assert_stops(subject, within=2)
                self.assertEqual(client.reap()[1], 0)
                self.assert_holds(0, 1)

    def stack_on(self, subject):
        """A linear device `l` on the thin, exported; its client."""
        for line in ("create l", f"load l 0 {self.SIZE // 512} linear 0 0", "resume l", "export l"):
            subject.control(line)
        client = nbd.Client(subject.socket, "l")
        self.addCleanup(client.close)
        return client

    def test_with_a_suspend_above_a_pool_that_nothing_resumes(self):
        subject = self.serve()
        client = self.stack_on(subject)
        subject.control("load pool 0 128 thin-pool metadata data 128 0 0")
        with self.assertRaisesRegex(server.ServerFailed, "too small"):
            subject.control("resume pool")
        client.submit(nbd.WRITE, BLOCK, data=contents(1))
        time.sleep(0.2)
        peer = self.control_client(subject)
        peer.sendall(b"suspend l\n")
        time.sleep(0.2)
        self.assert_stops(subject, within=2)
        self.assertEqual(peer.recv(100), b"ok\n")
        self.assertEqual(client.reap()[1], IO)
        self.assert_holds(0)

    def test_with_a_pool_suspended_under_a_device_that_is_to_become_a_thin(self):
        """Where nobody gets on, all are cut off in the end."""
        subject = self.serve()
        client = self.stack_on(subject)
        subject.control("create_thin 1")
        subject.control(f"load l 0 {self.SIZE // 512} thin pool 1")
        peer = self.control_client(subject)
        for number in range(256):
            client.submit(nbd.WRITE, number % 100 * BLOCK, data=contents(0))
            if number == 100:
                peer.sendall(b"suspend pool\n")
        self.assert_stops(subject)
        self.assertIn(peer.recv(100), (b"ok\n", b""))
        with contextlib.suppress(nbd.ServerGone):
            while client.in_flight():
                self.assertIn(client.reap()[1], (0, IO))
        self.assert_holds(0)

    def test_with_the_devices_of_a_stack_suspended(self):
        for suspended in (["bulk"], ["pool", "bulk"], ["0", "bulk"]):
            with self.subTest(suspended):
                for name in ("cmeta.img", "fast.img"):
                    with open(self.folder / name, "wb") as file:
                        file.truncate(8 * MIB)
                subject = self.serve(cached=True)
                client = self.client(subject)
                for name in suspended:
                    subject.control(f"suspend {name}")
                client.submit(nbd.WRITE, BLOCK, data=contents(1))
                client.submit(nbd.FLUSH)
                time.sleep(0.2)
                self.assert_stops(subject, within=2)
                wanted = IO if "0" in suspended else 0
                self.assertEqual([client.reap()[1] for _ in range(2)], [wanted] * 2)

    def fill(self, subject):
        """Writes until some wait for space; the client, and how many blocks went in."""
        client = self.client(subject)
        blocks = 4 * MIB // BLOCK
        for number in range(1, blocks):
            client.write_at(number * BLOCK, contents(number))
        client.flush()
        for number in range(blocks, blocks + 8):
            client.submit(nbd.WRITE, number * BLOCK, data=contents(number))
        time.sleep(0.5)
        self.assertIn("out_of_data_space", subject.control("status pool"))
        return client, blocks

    def assert_no_space(self, client):
        while client.in_flight():
            self.assertEqual(client.reap()[1], NO_SPACE)

    def test_with_writes_that_wait_for_space(self):
        subject = self.serve(data_bytes=4 * MIB)
        client, blocks = self.fill(subject)
        self.assert_stops(subject, within=2)
        self.assert_no_space(client)
        self.assert_holds(*range(blocks))

    def test_with_a_suspend_that_waits_for_space(self):
        subject = self.serve(data_bytes=4 * MIB)
        client, blocks = self.fill(subject)
        peer = self.control_client(subject)
        peer.sendall(b"suspend 0\n")
        time.sleep(0.2)
        self.assert_stops(subject, within=2)
        self.assertEqual(peer.recv(100), b"ok\n")
        self.assert_no_space(client)
        self.assert_holds(*range(blocks))

    def test_with_a_suspend_that_waits_for_one_that_waits_for_space(self):
        subject = self.serve(data_bytes=4 * MIB)
        above = self.stack_on(subject)
        client, blocks = self.fill(subject)
        peers = [self.control_client(subject) for _ in range(2)]
        peers[0].sendall(b"suspend 0\n")
        time.sleep(0.2)
        above.submit(nbd.WRITE, blocks * BLOCK, data=contents(1))   # waits for a resume of the thin
        time.sleep(0.2)
        peers[1].sendall(b"suspend l\n")
        time.sleep(0.2)
        self.assert_stops(subject, within=2)
        self.assertEqual([peer.recv(100) for peer in peers], [b"ok\n"] * 2)
        self.assert_no_space(client)
        self.assert_no_space(above)
        self.assert_holds(*range(blocks))


if __name__ == "__main__":
    unittest.main()
