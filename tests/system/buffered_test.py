#!/usr/bin/env python3
"""A pool on a file system without direct I/O: the server says so, and works all the same.

ramfs is such a file system; it is mounted in a mount namespace of the test's own.
"""

import os
import pathlib
import random
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import case, nbd, server

MIB = 1 << 20
SIZE = 16 * MIB
INSIDE = "WAVETANK_BUFFERED_TEST_INSIDE"
NAMESPACE = ["unshare", "--map-root-user", "--mount"]


def mounts_work():
    try:
        return subprocess.run([*NAMESPACE, "mount", "-t", "ramfs", "none", "/mnt"],
                              capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@case.needs_programs
@unittest.skipUnless(INSIDE in os.environ, "no mount namespace to be had")
class Buffered(case.SystemTest):
    def setUp(self):
        super().setUp()
        subprocess.run(["mount", "-t", "ramfs", "none", self.folder], check=True)
        self.addCleanup(subprocess.run, ["umount", "--lazy", self.folder], check=True)
        self.meta, self.data = self.folder / "meta", self.folder / "data"
        for path, size in ((self.meta, 4 * MIB), (self.data, 2 * SIZE)):
            with open(path, "wb") as file:
                file.truncate(size)
        with self.assertRaises(OSError, msg="this file system has direct I/O after all"):
            os.open(self.data, os.O_RDONLY | os.O_DIRECT)

    def serve(self):
        return server.Wavetankd(self.folder, self.meta, self.data, {0: SIZE})

    def test_says_so_and_serves(self):
        source = random.Random(11)
        model = bytearray(SIZE)
        with self.serve() as subject:
            for path in (self.meta, self.data):
                self.assertIn(f"{path}: no direct I/O on this file system", subject.log())
            client = nbd.Client(subject.socket, "0")
            for turn in range(60):
                offset = source.randrange(SIZE - 200000) // 512 * 512
                data = source.randbytes(source.choice((512, 4096, 65536, 131072)))
                client.write_at(offset, data, nbd.FLAG_FUA if turn % 5 == 0 else 0)
                model[offset:offset + len(data)] = data
            client.write_zeroes(3 * MIB, MIB)
            model[3 * MIB:4 * MIB] = bytes(MIB)
            client.flush()
            self.assertEqual(client.read_at(0, SIZE), bytes(model))
            client.close()
        with self.serve() as subject:
            client = nbd.Client(subject.socket, "0")
            self.assertEqual(client.read_at(0, SIZE), bytes(model))
            client.close()
        status, text = server.check_thin(self.meta)
        self.assertEqual(status, 0, text)


if __name__ == "__main__":
    if INSIDE not in os.environ and mounts_work():
        os.environ[INSIDE] = "1"
        os.execvp(NAMESPACE[0], [*NAMESPACE, sys.executable, *sys.argv])
    unittest.main(verbosity=2)
