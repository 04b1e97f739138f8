"""A write that was flushed after a suspend and a resume, and then a power cut: Linux loses it, we do
not (docs/cache-clean-mark.md).

The mark of a clean shutdown says that the dirty bits on disk are right. A suspend sets it. If a
resume leaves it, a write to a cached block that was clean is nowhere recorded as dirty.
"""

import hashlib
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import blockio, case, kernel, nbd, server

MIB = 1 << 20
BLOCK = 32768
AT = 100 * BLOCK
SIZE = 64 * MIB
OLD = blockio.pattern("first", AT, 4096)
NEW = blockio.pattern("second", AT, 4096)


def dirty_of(status):
    return int(status.split()[13])


class StaleClean(case.SystemTest):
    def setUp(self):
        super().setUp()
        self.disks = []
        for name, size in (("meta", 4 * MIB), ("fast", 16 * MIB), ("origin", SIZE)):
            path = self.folder / f"{name}.img"
            with open(path, "wb") as file:
                file.truncate(size)
            self.disks.append(path)

    def kernel_reads(self, mode):
        line, = [words for words in map(str.split, kernel.run(
            "stale_clean.py", self.folder, self.disks, {"STAGE": "read", "MODE": mode}))
            if words[0] in ("BLOCK", "REFUSED")]
        return line[1] if line[0] == "BLOCK" else None

    @case.needs_kernel
    def test_the_kernel_loses_the_write(self):
        guest = kernel.Guest("stale_clean.py", self.folder, self.disks, {"STAGE": "write"})
        try:
            self.assertTrue(any(line == "WRITTEN" for line in guest.lines()), guest.output)
        finally:
            guest.kill()
        # It takes the cache for clean, so it lets itself be opened past it, and there is the old data.
        self.assertEqual(self.kernel_reads("passthrough"), hashlib.md5(OLD).hexdigest(),
                         "this kernel does not lose the write: docs/cache-clean-mark.md is out of date")

    def table(self, mode, policy="smq"):
        return (f"0 {SIZE // 512} cache home.metadata home.fast home.origin {BLOCK // 512} "
                f"1 {mode} {policy} 0")

    def serve(self, mode="writeback"):
        return server.CachedVolume(self.folder, "home", f",mode={mode},block-size={BLOCK},version=1")

    def clean(self, subject):
        subject.control(f"load home {self.table('writeback', 'cleaner')}")
        subject.control("resume home")
        end = time.monotonic() + 20
        while dirty_of(subject.control("status home")) != 0:
            self.assertLess(time.monotonic(), end, "the cache does not become clean")
            time.sleep(0.05)

    def write_as_the_kernel_did(self):
        subject = self.serve()
        client = nbd.Client(subject.socket, "home")
        try:
            client.write_at(AT, blockio.pattern("first", AT, BLOCK))
            client.flush()
            self.clean(subject)
            subject.control(f"load home {self.table('writeback')}")
            subject.control("resume home")
            subject.control("suspend home")
            subject.control("resume home")
            client.write_at(AT, NEW)
            client.flush()
        finally:
            subject.kill()
            client.close()

    @case.needs_programs
    def test_ours_keeps_it(self):
        self.write_as_the_kernel_did()
        # Past the cache nobody may go now.
        with self.assertRaises(server.ServerFailed):
            self.serve("passthrough").stop()
        subject = self.serve()
        client = nbd.Client(subject.socket, "home")
        try:
            self.assertEqual(client.read_at(AT, 4096), NEW)
            self.clean(subject)
        finally:
            subject.stop()
            client.close()
        with open(self.folder / "origin.img", "rb") as origin:
            origin.seek(AT)
            self.assertEqual(origin.read(4096), NEW)

    @case.needs_programs
    @case.needs_kernel
    def test_the_kernel_keeps_what_we_left(self):
        self.write_as_the_kernel_did()
        self.assertIsNone(self.kernel_reads("passthrough"))
        self.assertEqual(self.kernel_reads("writeback"), hashlib.md5(NEW).hexdigest())


if __name__ == "__main__":
    unittest.main(verbosity=2)
