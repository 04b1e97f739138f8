"""The NBD export, as a stock client and as a hostile one sees it. Run against qemu-nbd too, which
proves the test: what both do alike is the protocol."""

import os
import pathlib
import random
import socket
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import blockio, case, nbd, server

MIB = 1 << 20
SIZE = 32 * MIB
BLOCK = 64 << 10
EINVAL, ENOSPC, EOVERFLOW = 22, 28, 75


def raw_connection(subject):
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(5)
    peer.connect(str(subject.socket))
    return peer


def drained(peer):
    """All that comes until the server ends the connection; True if it did."""
    try:
        while peer.recv(65536):
            pass
        return True
    except ConnectionError:
        return True
    except TimeoutError:
        return False


class Export:
    """Tests of one server with one export "0" of SIZE bytes, at `self.subject`."""

    def client(self):
        made = nbd.Client(self.subject.socket, "0")
        self.addCleanup(made.close)
        return made

    def assert_alive(self):
        client = nbd.Client(self.subject.socket, "0")
        client.write_at(4096, b"alive" + bytes(4091))
        self.assertEqual(client.read_at(4096, 4096)[:5], b"alive")
        client.close()

    def test_size_and_flags(self):
        client = self.client()
        self.assertEqual(client.size, SIZE)
        for bit, name in ((0, "HAS_FLAGS"), (2, "SEND_FLUSH"), (3, "SEND_FUA"), (5, "SEND_TRIM"),
                          (6, "SEND_WRITE_ZEROES"), (8, "CAN_MULTI_CONN")):
            self.assertTrue(client.flags >> bit & 1, name)
        self.assertFalse(client.flags >> 1 & 1, "read-only")

    def test_reads_back_writes_of_every_alignment_offered(self):
        client = self.client()
        self.assertIn(client.minimum, (1, 512))
        source = random.Random(5)
        model = bytearray(SIZE // 4)
        for _ in range(200):
            offset = source.randrange(len(model) - 200000)
            offset -= offset % client.minimum
            length = source.choice((1, 511, 512, 4096, 4097, 65536, 100001))
            length += -length % client.minimum
            kind = source.random()
            if kind < 0.5:
                data = source.randbytes(length)
                client.write_at(offset, data, nbd.FLAG_FUA if kind < 0.1 else 0)
                model[offset:offset + length] = data
            elif kind < 0.65:
                client.write_zeroes(offset, length)
                model[offset:offset + length] = bytes(length)
            else:
                self.assertEqual(client.read_at(offset, length), model[offset:offset + length])
        client.flush()
        self.assertEqual(b"".join(client.read_at(at, MIB) for at in range(0, len(model), MIB)), model)

    def test_two_connections_see_each_other(self):
        one, two = self.client(), self.client()
        one.write_at(0, b"a" * 4096)
        self.assertEqual(two.read_at(0, 4096), b"a" * 4096)
        two.write_at(0, b"b" * 4096)
        one.flush()
        self.assertEqual(one.read_at(0, 4096), b"b" * 4096)

    def test_many_requests_in_flight(self):
        client = self.client()
        for command in (nbd.WRITE, nbd.READ):
            wanted = {}
            for number in range(512 + 32):
                if number < 512:
                    offset = number * 65536
                    data = blockio.pattern(1, offset, 4096)
                    if command == nbd.WRITE:
                        wanted[client.submit(command, offset, data=data)] = b""
                    else:
                        wanted[client.submit(command, offset, 4096)] = data
                if number >= 32:
                    cookie, error, data = client.reap()
                    self.assertEqual((error, data), (0, wanted.pop(cookie)))

    def test_requests_past_the_end_fail_alone(self):
        client = self.client()
        for command in (nbd.READ, nbd.WRITE, nbd.TRIM, nbd.WRITE_ZEROES):
            for offset in (SIZE, SIZE - 512, (1 << 64) - 4096):
                with self.subTest(command=command, offset=offset):
                    data = bytes(4096) if command == nbd.WRITE else b""
                    client.submit(command, offset, 4096, data)
                    self.assertIn(client.reap()[1], (EINVAL, ENOSPC, EOVERFLOW))
        client.submit(99, 0, 0)
        self.assertEqual(client.reap()[1], EINVAL)
        client.write_at(0, b"s" * 4096)

    def test_unknown_export_is_refused(self):
        with self.assertRaises(nbd.NbdError):
            nbd.Client(self.subject.socket, "no such volume")
        self.assert_alive()

    def test_lists_its_export(self):
        said = subprocess.run(["qemu-nbd", "--list", f"--socket={self.subject.socket}"],
                              capture_output=True, text=True, timeout=20)
        self.assertEqual(said.returncode, 0, said.stderr)
        self.assertIn("export: '0'", said.stdout)

    def test_hostile_greetings_end_their_own_connection_only(self):
        option = b"IHAVEOPT"
        for name, data in (
                ("garbage", os.urandom(4096)),
                ("silence", b""),
                ("half a flag", b"\0\0"),
                ("unknown client flags", struct.pack(">I", 0xFFFFFFFF)),
                ("bad option magic", struct.pack(">I", 3) + b"X" * 16),
                ("giant option", struct.pack(">I", 3) + option + struct.pack(">II", 7, 0xFFFFFFFF)),
                ("name longer than its option", struct.pack(">I", 3) + option
                 + struct.pack(">III", 7, 6, 0x7FFFFFFF) + b"\0\0"),
                ("old export name, too long", struct.pack(">I", 3) + option
                 + struct.pack(">II", 1, 70000) + b"n" * 70000)):
            with self.subTest(name):
                peer = raw_connection(self.subject)
                peer.recv(18)
                try:
                    peer.sendall(data)
                    peer.shutdown(socket.SHUT_WR)
                except OSError:
                    pass     # it may have had enough by now
                self.assertTrue(drained(peer), "the connection stays open")
                peer.close()
                self.assert_alive()

    def test_hostile_requests_end_their_own_connection_only(self):
        magic = 0x25609513
        for name, data in (
                ("bad magic", struct.pack(">IHHQQI", 0x12345678, 0, 0, 1, 0, 512)),
                ("half a request", struct.pack(">IHH", magic, 0, 0)),
                ("half a write", struct.pack(">IHHQQI", magic, 0, 1, 1, 0, 65536) + b"x" * 100),
                ("a giant write", struct.pack(">IHHQQI", magic, 0, 1, 1, 0, 0xFFFFFFFF) + b"x" * 4096),
                ("garbage", os.urandom(65536))):
            with self.subTest(name):
                client = self.client()
                peer = client._socket
                try:
                    peer.sendall(data)
                    peer.shutdown(socket.SHUT_WR)
                except OSError:
                    pass     # it may have had enough by now
                self.assertTrue(drained(peer), "the connection stays open")
                self.assert_alive()

    def test_clients_that_vanish_with_requests_in_flight(self):
        for _ in range(20):
            client = nbd.Client(self.subject.socket, "0")
            for number in range(64):
                client.submit(nbd.READ, number * 65536, 65536)
            client._socket.close()
        self.assert_alive()

    def test_stock_clients(self):
        image = self.folder / "in.img"
        image.write_bytes(os.urandom(SIZE))
        subprocess.run(["nbdcopy", image, self.subject.uri("0")], check=True, timeout=60)
        self.subject.copy_out("0", self.folder / "out.img")
        self.assertEqual((self.folder / "out.img").read_bytes(), image.read_bytes())
        subprocess.run(["qemu-io", "-f", "raw", self.subject.uri("0"),
                        "-c", "write -P 0x5a 1M 64k", "-c", "discard 1M 64k",
                        "-c", "write -z 2M 192k", "-c", "read -P 0 2M 192k", "-c", "flush"],
                       check=True, timeout=60, stdout=subprocess.DEVNULL)
        subprocess.run(["fio", "--name=v", "--ioengine=nbd", f"--uri={self.subject.uri('0')}",
                        "--rw=randrw", "--bssplit=4k/70:64k/20:12k/10", "--iodepth=16", "--size=32M",
                        "--verify=crc32c", "--verify_fatal=1", "--fsync=50"],
                       check=True, timeout=120, stdout=subprocess.DEVNULL)


class OfQemu(Export, case.SystemTest):
    SERVER = server.QemuNbd

    def setUp(self):
        super().setUp()
        image = self.folder / "raw.img"
        with open(image, "wb") as file:
            file.truncate(SIZE)
        self.subject = self.SERVER(self.folder, image)
        self.addCleanup(self.subject.kill)


@case.needs_programs
class OfOursOnAFile(OfQemu):
    SERVER = server.WavetankdRaw


@case.needs_programs
class OfOurs(Export, case.SystemTest):
    def setUp(self):
        super().setUp()
        for name, size in (("meta.img", 8 * MIB), ("data.img", 64 * MIB)):
            with open(self.folder / name, "wb") as file:
                file.truncate(size)
        self.subject = server.Wavetankd(self.folder, self.folder / "meta.img",
                                        self.folder / "data.img", {0: SIZE})
        self.addCleanup(self.subject.kill)

    def mapped_blocks(self):
        """How many blocks the volume has of the pool."""
        return int(self.subject.control("status 0").split()[3]) * 512 // BLOCK

    def test_zeroes_without_a_hole_have_their_space(self):
        client = self.client()
        client.write_zeroes(0, 2 * MIB)
        self.assertEqual(self.mapped_blocks(), 0)
        client.write_zeroes(BLOCK // 2, 3 * MIB, flags=nbd.FLAG_NO_HOLE)
        self.assertEqual(self.mapped_blocks(), 3 * MIB // BLOCK + 1)
        client.write_at(4 * MIB, b"x" * BLOCK)
        client.write_zeroes(4 * MIB, BLOCK, flags=nbd.FLAG_NO_HOLE | nbd.FLAG_FUA)
        self.assertEqual(client.read_at(0, 8 * MIB), bytes(8 * MIB))
        self.assertEqual(self.mapped_blocks(), 3 * MIB // BLOCK + 2)

    def test_zeroes_without_a_hole_fail_where_there_is_no_space(self):
        """What the flag is for: not a later write."""
        self.subject.stop()
        with open(self.folder / "data.img", "r+b") as file:
            file.truncate(MIB)
        (self.folder / "meta.img").write_bytes(bytes(8 * MIB))
        self.subject = server.Wavetankd(self.folder, self.folder / "meta.img",
                                        self.folder / "data.img", {0: SIZE},
                                        extra=("--feature", "error_if_no_space"))
        self.addCleanup(self.subject.kill)
        client = self.client()
        client.write_zeroes(0, SIZE)
        with self.assertRaises(nbd.NbdError) as refused:
            client.write_zeroes(0, SIZE, flags=nbd.FLAG_NO_HOLE)
        self.assertEqual(refused.exception.errno, ENOSPC)

    def test_stops_cleanly_with_clients_connected(self):
        client = self.client()
        client.write_at(0, b"x" * 4096)
        for number in range(32):
            client.submit(nbd.WRITE, number * 65536, data=b"y" * 4096)
        self.subject.stop()
        self.assertEqual(server.check_thin(self.folder / "meta.img")[0], 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
