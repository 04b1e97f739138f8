"""A served cached volume under verified load: kill -9, other modes, and taking the cache away."""

import fcntl
import os
import pathlib
import random
import shutil
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import case, nbd, server, verified_load

MIB = 1 << 20
SIZE = 24 * MIB
FAST = 4 * MIB
BLOCK = 32768
ROUNDS = int(os.environ.get("CACHE_ROUNDS", "6"))
SEED = int(os.environ.get("CACHE_SEED", "1"))


def dirty_of(status):
    return int(status.split()[13])


@case.needs_programs
class CacheVolume(case.SystemTest):
    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        self.load = verified_load.VerifiedLoad(SIZE, SEED, trims_read_as_zeroes=False)
        for name, size in (("meta", 8 * MIB), ("fast", FAST), ("origin", SIZE)):
            with open(self.folder / f"{name}.img", "wb") as file:
                file.truncate(size)

    def table(self, mode, policy="smq"):
        return (f"0 {SIZE // 512} cache home.metadata home.fast home.origin {BLOCK // 512} "
                f"2 metadata2 {mode} {policy} 0")

    def change(self, subject, table):
        subject.control(f"load home {table}")
        subject.control("resume home")

    def run_load(self, client, seconds, in_the_middle=None):
        """Traffic for a while; `in_the_middle()` is called once, with requests in flight."""
        end = time.monotonic() + seconds
        left = [in_the_middle] if in_the_middle else []

        def stop():
            if left and time.monotonic() > end - seconds / 2:
                left.pop()()
            return time.monotonic() > end
        return self.load.run(client, stop)

    def check_metadata(self):
        if shutil.which("cache_check") is None:
            return
        checked = subprocess.run(["cache_check", self.folder / "meta.img"], capture_output=True,
                                 text=True, check=False)
        self.assertEqual(checked.returncode, 0, checked.stderr)

    def assert_held(self, name, subject):
        with self.assertRaisesRegex(server.ServerFailed, "in use by home"):
            subject.control(f"release home.{name}")
        with open(self.folder / f"{name}.img", "rb") as file, self.assertRaises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def test_a_pool_on_a_cache_with_a_long_name(self):
        name = "n" * 127
        with open(self.folder / "pool.img", "wb") as file:
            file.truncate(4 * MIB)
        files = ",".join(f"{role}={self.folder / role}.img" for role in ("fast", "origin"))
        with server.Wavetankd(self.folder, self.folder / "pool.img", name, {0: MIB}, extra=(
                "--cache", f"{name}:metadata={self.folder / 'meta.img'},{files}")) as subject:
            self.assertIn(f" {name} ", subject.control("table pool"))
            client = nbd.Client(subject.socket, "0")
            client.write_at(0, b"x" * 4096)
            self.assertEqual(client.read_at(0, 4096), b"x" * 4096)
            client.close()

    def test_everything_flushed_survives_kills_in_all_modes(self):
        for number in range(ROUNDS):
            mode = ("writeback", "writethrough")[number % 2]
            subject = server.CachedVolume(self.folder, "home", f",mode={mode},block-size={BLOCK}")
            client = nbd.Client(subject.socket, "home")
            try:
                self.load.verify(client)
                other = ("writethrough", "writeback")[number % 2]
                self.assertFalse(self.run_load(client, 0.4,
                                               lambda: self.change(subject, self.table(other))))
                self.assertIn(f" {other} ", subject.control("status home"))
                end = time.monotonic() + self.random.uniform(0.05, 0.4)

                def late():
                    if time.monotonic() > end and client.in_flight() > 1:
                        subject.kill()
                    return False
                self.assertTrue(self.load.run(client, late))
            finally:
                subject.kill()
                client.close()
            self.check_metadata()

    def test_a_cache_is_taken_away_under_load(self):
        subject = server.CachedVolume(self.folder, "home", f",block-size={BLOCK}")
        client = nbd.Client(subject.socket, "home")
        try:
            self.run_load(client, 0.5)
            self.assertGreater(dirty_of(subject.control("status home")), 0)
            self.run_load(client, 0.2, lambda: self.change(
                subject, self.table("writethrough", "cleaner")))
            end = time.monotonic() + 20
            while dirty_of(subject.control("status home")) != 0:
                self.assertLess(time.monotonic(), end, "the cache does not become clean")
                self.run_load(client, 0.05)
            self.assert_held("fast", subject)
            self.run_load(client, 0.4, lambda: self.change(
                subject, f"0 {SIZE // 512} linear home.origin 0"))
            for name in ("fast", "metadata"):
                subject.control(f"release home.{name}")
            self.assert_held("origin", subject)
            # Somebody else's from now on.
            with open(self.folder / "fast.img", "r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                file.truncate(0)
            self.run_load(client, 0.1)
            expected = self.load.expected()
        finally:
            subject.stop()
            client.close()
        with open(self.folder / "origin.img", "rb") as file:
            for page, value in expected.items():
                file.seek(page * verified_load.PAGE)
                self.assertEqual(file.read(verified_load.PAGE),
                                 verified_load.content(value, page), f"page {page}")
        self.check_metadata()

    def test_another_block_size_is_refused_by_both_numbers(self):
        server.CachedVolume(self.folder, "home", f",block-size={BLOCK}").stop()
        with self.assertRaises(server.ServerFailed) as refused:
            server.CachedVolume(self.folder, "home", f",block-size={2 * BLOCK}")
        for word in ("meta.img", f"blocks of {BLOCK} bytes", f"not {2 * BLOCK}"):
            self.assertIn(word, str(refused.exception))
        self.check_metadata()


if __name__ == "__main__":
    unittest.main(verbosity=2)
