"""kill -9 under load: everything flushed is there, and the pool opens without repair."""

import os
import pathlib
import random
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import case, nbd, pools, server, verified_load

MIB = 1 << 20
ROUNDS = int(os.environ.get("KILL9_ROUNDS", "20"))
SEED = int(os.environ.get("KILL9_SEED", "1"))


def load_until_killed(load, subject, client, seconds):
    """Traffic for a while, then SIGKILL in the middle of it."""
    end = time.monotonic() + seconds

    def late():
        if time.monotonic() > end and client.in_flight() > 1:
            subject.kill()
        return False

    if not load.run(client, late):
        raise AssertionError("the load ended before the server did")


class TheTestItself(case.SystemTest):
    """Against a raw file behind qemu-nbd, which keeps its promises, and one that does not."""

    def test_finds_nothing_on_an_honest_server(self):
        image = self.blank()
        load = verified_load.VerifiedLoad(16 * MIB, SEED)
        for _ in range(3):
            subject = server.QemuNbd(self.folder, image)
            client = nbd.Client(subject.socket, "0")
            load.verify(client)
            load_until_killed(load, subject, client, 0.5)
            client.close()
        self.assertGreater(load.writes, 100)
        self.assertGreater(load.flushes, 3)

    def test_notices_a_lost_flushed_write(self):
        image = self.blank()
        load = verified_load.VerifiedLoad(16 * MIB, SEED)
        with server.QemuNbd(self.folder, image) as subject:
            client = nbd.Client(subject.socket, "0")
            end = time.monotonic() + 0.5
            load.run(client, lambda: time.monotonic() > end)
            client.flush()
            client.close()
        page = next(p for p, value in load.expected().items() if value)
        with open(image, "r+b") as file:
            file.seek(page * verified_load.PAGE)
            file.write(bytes(512))
        with server.QemuNbd(self.folder, image) as subject:
            client = nbd.Client(subject.socket, "0")
            with self.assertRaises(verified_load.DataLost):
                load.verify(client)
            client.close()

    def blank(self):
        image = self.folder / "raw.img"
        with open(image, "wb") as file:
            file.truncate(16 * MIB)
        return image


@case.needs_programs
class Kill9(case.SystemTest):
    """A pool with one volume under load, of which snapshots are taken between the rounds."""

    SIZE = 32 * MIB

    def test_everything_flushed_survives(self):
        self.meta, self.data = self.folder / "meta.img", self.folder / "data.img"
        for path, size in ((self.meta, 16 * MIB), (self.data, 256 * MIB)):
            with open(path, "wb") as file:
                file.truncate(size)
        self.random = random.Random(SEED)
        self.load = verified_load.VerifiedLoad(self.SIZE, SEED)
        self.snapshots = {}     # id -> what its pages read as
        self.doomed = []        # no longer served, to be deleted by the next server
        for number in range(1, ROUNDS + 1):
            try:
                self.one_life(number)
            except (AssertionError, OSError) as error:
                raise AssertionError(f"life {number}: {error}") from error
        print(f"{ROUNDS} kills, {self.load.writes} writes, {self.load.flushes} flushes")

    def one_life(self, number):
        """Check what the last life left, open it, read it back, load it, kill it."""
        if number > 1:
            self.check_metadata(self.meta)
        thins = dict.fromkeys((0, *self.snapshots), self.SIZE)
        subject = server.Wavetankd(self.folder, self.meta, self.data, thins)
        client = nbd.Client(subject.socket, "0")
        try:
            self.load.verify(client)
            for thin, pages in self.snapshots.items():
                reader = nbd.Client(subject.socket, str(thin))
                verified_load.verify_pages(reader, pages)
                reader.close()
            end = time.monotonic() + 0.2
            self.load.run(client, lambda: time.monotonic() > end)
            self.change_snapshots(subject, number)
            load_until_killed(self.load, subject, client, self.random.uniform(0.05, 0.6))
        finally:
            subject.kill()
            client.close()

    def change_snapshots(self, subject, number):
        while self.doomed:
            subject.control(f"delete {self.doomed.pop()}")
        if number % 3 != 1:
            return
        if len(self.snapshots) == 3:
            self.doomed.append(min(self.snapshots))
            self.snapshots.pop(self.doomed[0])
        subject.control(f"create_snap {number} 0")
        self.snapshots[number] = self.load.expected()

    def check_metadata(self, meta):
        self.assertIsNone(pools.thin_check(meta))
        status, said = server.check_thin(meta)
        self.assertLessEqual(status, 1, said)     # a leak after a kill is legal, damage is not


if __name__ == "__main__":
    unittest.main(verbosity=2)
