"""A cache of the kernel's: metadata on /dev/ubdb, the fast device /dev/ubdc, the origin /dev/ubdd. Blocks
are of 32 KiB."""

import time

from harness import blockio

from mapped import Mapped
import system_calls

BLOCK = 32768
META, FAST, ORIGIN = "/dev/ubdb", "/dev/ubdc", "/dev/ubdd"

system_calls.load_modules("dm-cache", "dm-cache-smq")


class Cache:
    def __init__(self, blocks, features, policy="smq"):
        """`features` as in the table, with commas. OSError where the kernel refuses it."""
        self.fast = Mapped("fast", f"{blocks * BLOCK // 512} linear {FAST} 0")
        try:
            self.device = Mapped("cache", f"{system_calls.sectors(ORIGIN)} cache {META} {self.fast.number} "
                                 f"{ORIGIN} {BLOCK // 512} {features.replace(',', ' ')} {policy} 0")
        except OSError:
            self.fast.remove()
            raise
        self.path = self.device.path

    def write(self, seed, first, count, block=BLOCK):
        blockio.write(self.path, seed, first, count, block)

    def discard(self, offset, length):
        system_calls.discard_of(self.path, offset, length)

    def status(self):
        """(resident blocks, dirty blocks, the last word: whether it needs a check). Commits nothing."""
        words = self.device.status(noflush=True)
        return int(words[3].split("/")[0]), int(words[10]), words[-1]

    def await_clean(self):
        """Until nothing is dirty, ten seconds at the most. Does not commit."""
        for _ in range(1000):
            if self.status()[1] == 0:
                break
            time.sleep(0.01)

    def commit(self):
        self.device.status()

    def close(self):
        self.device.remove()
        self.fast.remove()


def digests(path, numbers):
    """[(block, hex digest)]"""
    return blockio.blocks(path, BLOCK, numbers)


def copy(source, target, size=None, source_at=0, target_at=0):
    """Bytes of a disk or file to another, past the page cache; all that there is, or `size`."""
    if not target.startswith("/dev/"):
        with open(target, "ab"):
            pass
    reads, writes = blockio.Device(source), blockio.Device(target)
    if size is None:
        size = system_calls.size_of(source)
    for at in range(0, size, 1 << 20):
        writes.write_at(target_at + at, reads.read_at(source_at + at, min(1 << 20, size - at)))
    reads.close()
    writes.close()
