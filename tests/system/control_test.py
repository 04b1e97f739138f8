"""The control socket: what it opens and how, whom it keeps waiting, and what it answers to lines that
are no good."""

import os
import pathlib
import socket
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import case, nbd, server

MIB = 1 << 20
BLOCK = 64 << 10


@case.needs_programs
class Control(case.SystemTest):
    def setUp(self):
        super().setUp()
        for name, size in (("meta.img", 4 * MIB), ("data.img", 64 * MIB)):
            self.make_file(name, size)
        self.subject = server.Wavetankd(self.folder, self.folder / "meta.img",
                                        self.folder / "data.img", {0: 16 * MIB})
        self.addCleanup(self.subject.kill)

    def make_file(self, name, size):
        path = self.folder / name
        with open(path, "wb") as file:
            file.truncate(size)
        return path

    def connect(self):
        peer = socket.socket(socket.AF_UNIX)
        self.addCleanup(peer.close)
        peer.settimeout(20)
        peer.connect(str(self.subject.control_path))
        return peer

    def ask(self, *lines, end=b"\n"):
        """The answers to lines sent on one connection."""
        peer = self.connect()
        peer.sendall(b"".join(line.encode() + end for line in lines))
        answers = peer.makefile()
        return [answers.readline().rstrip("\n") for _ in lines]

    def assert_refused(self, line, *names):
        answer = self.ask(line)[0]
        self.assertTrue(answer.startswith("error "), f"{line}: {answer}")
        for name in names:
            self.assertIn(name, answer)

    def access_modes(self, path):
        """How the server has the file open, from /proc."""
        process = pathlib.Path("/proc") / str(self.subject.pid())
        for link in (process / "fd").iterdir():
            if os.path.realpath(link) == str(path):
                flags = (process / "fdinfo" / link.name).read_text().split("flags:")[1].split()[0]
                yield int(flags, 8) & os.O_ACCMODE


class Devices(Control):
    def test_an_external_origin_is_opened_for_reading(self):
        base = self.make_file("base.img", 4 * MIB)
        base.write_bytes(bytes([7]) * 4 * MIB)
        base.chmod(0o444)
        table = f"0 8192 thin pool 1 {base}"
        self.assertEqual(self.ask("create_thin 1", "create c", f"load c {table}", "resume c",
                                  "export c"), ["ok"] * 5)
        self.assertEqual(list(self.access_modes(base)), [os.O_RDONLY])
        client = nbd.Client(self.subject.socket, "c")
        self.addCleanup(client.close)
        self.assertEqual(client.read_at(BLOCK, 4096), bytes([7]) * 4096)
        client.write_at(0, bytes([9]) * 4096)
        client.flush()
        self.assertEqual(client.read_at(0, 8192), bytes([9]) * 4096 + bytes([7]) * 4096)
        # As long as it is, nobody gets it for writing.
        self.assertEqual(self.ask("create w")[0], "ok")
        self.assert_refused(f"load w 0 8192 linear {base} 0")
        self.assertIn("release it first", self.subject.log())
        self.assert_refused(f"release {base}", "in use by c")
        client.close()
        self.assertEqual(self.ask("unexport c", "remove c", f"release {base}",
                                  f"load w 0 8192 linear {base} 0"), ["ok"] * 4)
        # The answer does not wait for the file that was let go to be closed.
        until = time.monotonic() + 20
        while list(self.access_modes(base)) != [os.O_RDWR]:
            self.assertLess(time.monotonic(), until, list(self.access_modes(base)))
            time.sleep(0.01)

    def test_a_file_in_use_keeps_nobody_waiting(self):
        held = self.make_file("held.img", 4 * MIB)
        (self.folder / "other").mkdir()
        other = server.WavetankdRaw(self.folder / "other", held)
        self.addCleanup(other.kill)
        client = nbd.Client(self.subject.socket, "0")
        self.addCleanup(client.close)
        self.assertEqual(self.ask("create w")[0], "ok")
        asking = self.connect()
        began = time.monotonic()
        asking.sendall(f"load w 0 8192 linear {held} 0\n".encode())
        client.write_at(0, bytes(BLOCK))
        self.assertTrue(asking.makefile().readline().startswith("error "))
        self.assertLess(time.monotonic() - began, 2)
        self.assertIn(f"{held}: in use", self.subject.log())
        other.stop()
        self.assertEqual(self.ask(f"load w 0 8192 linear {held} 0")[0], "ok")


    def test_a_pool_longer_than_its_data_file(self):
        self.assert_refused("load pool 0 131073 thin-pool metadata data 128 0",
                            "data device too small for target")
        small = self.make_file("small.img", MIB)
        other = self.make_file("other.img", 4 * MIB)
        self.assertEqual(self.ask("create p")[0], "ok")
        self.assert_refused(f"load p 0 131072 thin-pool {other} {small} 128 0",
                            "data device too small for target")
        self.assertEqual(other.read_bytes(), bytes(4 * MIB))
        # The pool has every block of its device, and gives them out.
        self.assertEqual(self.ask("resume pool")[0], "ok")
        client = nbd.Client(self.subject.socket, "0")
        self.addCleanup(client.close)
        for begin in range(0, 16 * MIB, MIB):
            client.write_at(begin, bytes([1]) * MIB)
        client.flush()
        self.assertIn(" 256/1024 ", self.subject.control("status pool"))
        self.subject.stop()
        self.assertEqual(server.check_thin(self.folder / "meta.img")[0], 0)


class Sizes(case.SystemTest):
    def test_of_all_suffixes(self):
        for name in ("meta.img", "data.img"):
            with open(self.folder / name, "wb") as file:
                file.truncate(4 * MIB)
        wanted = {"1PiB": 1 << 50, "7EiB": 7 << 60, "2PB": 2 * 10**15, "1EB": 10**18}
        extra = [word for i, text in enumerate(wanted, 1) for word in ("--thin", f"{i}:{text}:{i}")]
        with server.Wavetankd(self.folder, self.folder / "meta.img", self.folder / "data.img", {},
                              extra=extra) as subject:
            for number, size in enumerate(wanted.values(), 1):
                self.assertIn(f"{size // 512} sectors", subject.control(f"info {number}"))


class Lines(Control):
    def test_lines_that_end_as_others_do(self):
        self.assertEqual(self.ask("list", "info 0", end=b"\r\n"), self.ask("list", "info 0"))

    def test_a_line_too_long(self):
        peer = self.connect()
        try:
            peer.sendall(b"x" * (1 << 17))
        except OSError:
            pass   # closed meanwhile
        self.assertIn("error a line of 65536 bytes or more", peer.recv(4096).decode())
        self.assertTrue(self.ask("list")[0].startswith("ok "))

    def test_too_many_clients(self):
        served = [self.connect() for _ in range(64)]
        for peer in served:
            peer.sendall(b"list\n")
            self.assertTrue(peer.recv(4096).startswith(b"ok "))
        self.assertEqual(self.connect().recv(4096), b"error 64 clients are served at once\n")
        served[0].close()
        end = time.monotonic() + 10
        answer = b""
        while not answer.startswith(b"ok ") and time.monotonic() < end:
            peer = self.connect()
            try:
                peer.sendall(b"list\n")
                answer = peer.recv(4096)
            except OSError:
                pass   # refused, and closed
        self.assertTrue(answer.startswith(b"ok "), answer)

    def test_names_that_no_device_may_have(self):
        self.assertEqual(self.ask("create w")[0], "ok")
        for name in (".", "..", "metadata", "data", "pool", "a/b"):
            with self.subTest(name):
                self.assert_refused(f"create {name}", name)
                self.assert_refused(f"rename w {name}", name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
