"""The control socket: what it opens and how, whom it keeps waiting, and what it answers to lines that
are no good."""

import os
import pathlib
import resource
import select
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
        self.assert_refused(f"load w 0 8192 linear {base} 0", str(base), "release it first")
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
        answer = asking.makefile().readline()
        self.assertTrue(answer.startswith("error "), answer)
        self.assertIn(f"{held}: in use by another", answer)
        self.assertLess(time.monotonic() - began, 2)
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


    def test_why_a_device_cannot_be_had(self):
        fifo = self.folder / "fifo"
        os.mkfifo(fifo)
        empty = self.make_file("empty.img", 0)
        nowhere = self.folder / "nowhere"
        self.assertEqual(self.ask("create w")[0], "ok")
        for device, why in ((nowhere, "No such file or directory"),
                            (fifo, "neither a regular file nor a block device"),
                            (self.folder, "neither a regular file nor a block device"),
                            (empty, "not even one sector"), ("w2", "w2: no such device")):
            for line in (f"linear {device} 0", f"cache {device} {device}.f {device}.o 64 0 smq 0"):
                with self.subTest(line):
                    self.assert_refused(f"load w 0 8192 {line}", str(device), why)
        self.assert_refused(f"load w 0 8 zero;8 8 linear {nowhere} 0;16 8 linear {fifo} 0",
                            "table line 2", f"{nowhere}: cannot open: No such file or directory")


class Waiting(Control):
    """A line that waits for something keeps none waiting but those about its device."""

    def setUp(self):
        super().setUp()
        self.parts = [self.make_file(name, 4 * MIB) for name in ("p.meta", "p.data")]
        self.assertEqual(self.ask("create p", self.pool_of(16), "resume p",
                                  "message p 0 create_thin 0", "create t", "load t 0 8192 thin p 0",
                                  "resume t", "export t"), ["ok"] * 8)
        self.client = nbd.Client(self.subject.socket, "t")
        self.addCleanup(self.client.close)

    def pool_of(self, blocks):
        return "load p 0 {} thin-pool {} {} 128 0".format(blocks * 128, *self.parts)

    def write_until_it_waits(self, blocks):
        """Fills the pool of so many blocks, and writes one more."""
        for block in range(blocks):
            self.client.write_at(block * BLOCK, bytes([1]) * BLOCK)
        self.client.submit(nbd.WRITE, blocks * BLOCK, data=bytes([2]) * BLOCK)
        self.await_answer("status p", "out_of_data_space")

    def await_answer(self, line, part):
        until = time.monotonic() + 10
        while part not in self.ask(line)[0]:
            self.assertLess(time.monotonic(), until, line)
            time.sleep(0.01)

    def send(self, *lines):
        """A connection on which they are under way."""
        peer = self.connect()
        peer.sendall("".join(f"{line}\n" for line in lines).encode())
        return peer

    def assert_unanswered(self, *peers):
        self.assertEqual(select.select(peers, [], [], 0)[0], [])

    def assert_grows(self, blocks, *waiting):
        """The pool does, by lines of another client, and those that wait are answered."""
        began = time.monotonic()
        self.assertEqual(self.ask(self.pool_of(blocks), "resume p"), ["ok"] * 2)
        answers = [peer.makefile().readline() for peer in waiting]
        self.assertLess(time.monotonic() - began, 10)
        return answers

    def test_a_suspend(self):
        self.write_until_it_waits(16)
        peer = self.send("info t", "suspend t", "resume t")
        self.assertIn("8192 sectors", peer.recv(1000).decode())   # before the next has ended
        other = self.send("clear t")
        self.assertEqual(self.ask("create w", "load w 0 8 zero", "resume w", "suspend 0", "resume 0",
                                  "create_thin 5", "unexport t", "export t"), ["ok"] * 8)
        for line in ("status p", "status t", "table t", "info t", "list"):
            self.assertTrue(self.ask(line)[0].startswith("ok "), line)
        self.assert_unanswered(peer, other)
        self.assertEqual(self.assert_grows(32, peer, other), ["ok\n"] * 2)
        self.assertEqual(self.client.reap()[1], 0)
        self.assertEqual(self.client.read_at(15 * BLOCK, 2 * BLOCK),
                         bytes([1]) * BLOCK + bytes([2]) * BLOCK)

    def test_a_resume_with_another_table(self):
        self.write_until_it_waits(16)
        base = self.make_file("base.img", 4 * MIB)
        peer = self.send(f"load t 0 8192 thin p 0 {base}", "resume t")
        self.assertEqual(peer.recv(3), b"ok\n")
        self.await_answer("info t", "inactive table no")
        # Nobody can say now what the table names that is on its way.
        self.assert_refused(f"release {base}", "a table of t")
        self.assert_unanswered(peer)
        self.assertEqual(self.assert_grows(32, peer), ["ok\n"])
        self.assertEqual(self.client.reap()[1], 0)
        self.assert_refused(f"release {base}", "in use by t")

    def test_a_suspend_until_the_files_are_larger(self):
        self.assertEqual(self.ask(self.pool_of(64), "resume p"), ["ok"] * 2)
        self.assertEqual(self.ask("load t 0 16384 thin p 0", "resume t", "unexport t", "export t"),
                         ["ok"] * 4)
        self.client = nbd.Client(self.subject.socket, "t")   # sees the new size
        self.addCleanup(self.client.close)
        self.write_until_it_waits(64)
        peer = self.send("suspend t", "resume t")
        self.assert_refused(self.pool_of(65), "data device too small")
        for part in self.parts:
            os.truncate(part, 8 * MIB)
        self.assertEqual(self.assert_grows(128, peer), ["ok\n"])
        self.assertEqual(self.client.reap()[1], 0)
        self.assertRegex(self.ask("status p")[0], r"/2048 65/128 ")
        os.truncate(self.parts[1], 4 * MIB)   # what went is an I/O error, and no end of the server
        self.client.submit(nbd.READ, 64 * BLOCK, 4096)
        self.assertEqual(self.client.reap()[1], 5)
        self.assertEqual(self.client.read_at(63 * BLOCK, 4096), bytes([1]) * 4096)

    def test_a_stop(self):
        self.write_until_it_waits(16)
        peers = [self.send(line) for line in ("suspend t", "remove t", "load t 0 8 zero")]
        time.sleep(0.2)
        self.subject.stop(10)
        self.assertEqual(peers[0].recv(100), b"ok\n")
        self.assertEqual(self.client.reap()[1], 28)   # ENOSPC


class Jobs(Control):
    """What docs/operating.md tells operators to do."""

    def recipe(self, title, names):
        """What to type for that, as it stands there, with other names for some."""
        book = pathlib.Path(__file__).resolve().parents[2] / "docs" / "operating.md"
        _, found, rest = book.read_text().partition(f"**{title}**")
        self.assertTrue(found, title)
        lines = rest.split("```\n")[1].splitlines()
        return [" ".join(names.get(word, word) for word in line.split()) for line in lines]

    def client(self, name="0"):
        client = nbd.Client(self.subject.socket, name)
        self.addCleanup(client.close)
        return client

    def test_roll_back(self):
        size = 16 * MIB // 512
        client = self.client()
        client.write_at(0, b"o" * BLOCK)
        client.write_at(BLOCK, b"o" * BLOCK)
        self.assertEqual(self.ask("create_snap 2 0"), ["ok"])
        client.write_at(0, b"n" * BLOCK)
        client.trim(BLOCK, BLOCK)
        client.write_at(2 * BLOCK, b"n" * BLOCK)
        client.flush()
        lines = self.recipe("Roll back", {"home": "0", "209715200": str(size)})
        self.assertIn(f"load 0 0 {size} thin pool 2", lines)
        self.assertEqual(self.ask(*lines), ["ok"] * len(lines))
        wanted = b"o" * 2 * BLOCK + bytes(BLOCK)
        self.assertEqual(client.read_at(0, 3 * BLOCK), wanted)
        client.write_at(0, b"l" * BLOCK)   # not in the snapshot
        lines = ["create s", f"load s 0 {size} thin pool 2", "resume s", "export s"]
        self.assertEqual(self.ask(*lines), ["ok"] * len(lines))
        self.assertEqual(self.client("s").read_at(0, 3 * BLOCK), wanted)
        self.subject.stop()
        self.subject = server.Wavetankd(self.folder, self.folder / "meta.img",
                                        self.folder / "data.img", {0: 16 * MIB})
        self.addCleanup(self.subject.kill)
        self.assertEqual(self.client().read_at(0, 3 * BLOCK), b"l" * BLOCK + wanted[BLOCK:])


@case.needs_programs
class Descriptors(case.SystemTest):
    """A server that may open few files, and clients that have them all."""

    def test_come_back_when_clients_go(self):
        for name in ("meta.img", "data.img"):
            with open(self.folder / name, "wb") as file:
                file.truncate(4 * MIB)
        subject = server.Wavetankd(self.folder, self.folder / "meta.img", self.folder / "data.img",
                                   {0: MIB}, limits=lambda: resource.setrlimit(
                                       resource.RLIMIT_NOFILE, (40, 40)))
        self.addCleanup(subject.kill)
        crowd = []
        for _ in range(60):
            crowd.append(socket.socket(socket.AF_UNIX))
            crowd[-1].connect(str(subject.socket))
        while "nbd: accept: Too many open files" not in subject.log():
            time.sleep(0.01)
        late = socket.socket(socket.AF_UNIX)   # meets the same at the other socket
        late.settimeout(10)
        late.connect(str(subject.control_path))
        late.sendall(b"list\n")
        time.sleep(1.5)
        for peer in crowd:
            peer.close()
        self.assertTrue(late.recv(4096).startswith(b"ok "))
        late.close()
        self.assertTrue(subject.control("list"))
        client = nbd.Client(subject.socket, "0")
        self.assertEqual(client.size, MIB)
        client.close()
        self.assertLess(subject.processor_seconds(), 0.2)
        said = subject.log()
        self.assertLess(said.count("nbd: accept: "), 5, said[:1000])
        self.assertIn("control: accept: Too many open files", said)
        subject.stop()


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

    def test_a_last_line_without_an_end(self):
        peer = self.connect()
        peer.sendall(b"create w\ninfo w")
        peer.shutdown(socket.SHUT_WR)
        answers = peer.makefile().read().splitlines()
        self.assertEqual(len(answers), 2, answers)
        self.assertEqual(answers[0], "ok")
        self.assertTrue(answers[1].startswith("ok 0 sectors"), answers)

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

    def test_words_too_many(self):
        self.assertEqual(self.ask("create w", "export w v"), ["ok"] * 2)
        for line in ("create x", "clear w", "status 0", "table 0", "info 0", "list", "unexport v",
                     "remove w", "release data"):
            with self.subTest(line):
                self.assert_refused(f"{line} now", f"{line}: 'now'? nothing can follow")
        self.assertEqual(self.ask("unexport v", "remove w"), ["ok"] * 2)

    def test_names_that_no_device_may_have(self):
        self.assertEqual(self.ask("create w")[0], "ok")
        for name in (".", "..", "metadata", "data", "pool", "a/b"):
            with self.subTest(name):
                self.assert_refused(f"create {name}", name)
                self.assert_refused(f"rename w {name}", name)
        for name, shown in (("a;b", "a;b"), ("a\0b", r"a\x00b"), ("a\x1b[2J", r"a\x1b[2J"),
                            ("a\x7f", r"a\x7f"), ("n" * 128, "127 bytes")):
            with self.subTest(name):
                self.assert_refused(f"create {name}", shown)
                self.assert_refused(f"rename w {name}", shown)
        for name, shown in (("a b", "a blank"), ("a/b", "a slash"), ("n" * 128, "127 bytes")):
            with self.subTest(name):
                self.assert_refused(f"export 0 {name}", shown)
        self.assertEqual(self.ask("create gr\u00f6\u00dfe", "remove gr\u00f6\u00dfe"), ["ok"] * 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
