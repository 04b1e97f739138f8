"""Reads and writes of block devices and images by pattern; runs in the guest and on the host.

A page of the pattern says which fill wrote it and where, so that a misplaced, stale or torn page
shows in a digest. A digest covers LENGTH bytes at every STRIDE, or with 0 0 the whole device.
"""

import errno
import hashlib
import mmap
import os

PAGE = 4096


def pattern(seed, offset, length):
    """`length` bytes of fill `seed` for byte `offset`; both multiples of a page."""
    pages = []
    for at in range(offset, offset + length, PAGE):
        name = f"{seed}:{at}".encode()
        pages.append(hashlib.blake2b(name).digest() * (PAGE // 64))
    return b"".join(pages)


def digest(read_at, size, stride=0, length=0, prefetch=None):
    """Hex digest of `read_at(offset, length)` over [0, size).

    `prefetch`, of the same arguments, is told of each read some while before.
    """
    if not stride:
        stride = length = 1 << 20
    state = hashlib.md5()
    ahead = 256 * stride if prefetch else 0
    for offset in range(-ahead, size, stride):
        if prefetch and offset + ahead < size:
            prefetch(offset + ahead, length)
        if offset >= 0:
            state.update(read_at(offset, min(length, size - offset)))
    return state.hexdigest()


def file_digest(path):
    """Hex digest of a file: its size, where it has data, and the data. Holes are not read."""
    size = os.stat(path).st_size
    state = hashlib.md5(str(size).encode())
    with open(path, "rb", buffering=0) as file:
        end = 0
        while end < size:
            try:
                start = os.lseek(file.fileno(), end, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:   # nothing but a hole is left
                    raise
                break
            end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            state.update(f"{start}:{end}".encode())
            state.update(os.pread(file.fileno(), end - start, start))
    return state.hexdigest()


class Device:
    """A device or file, read past the page cache where the file system allows it."""

    def __init__(self, path, direct=True):
        try:
            self._fd = os.open(path, os.O_RDWR | (os.O_DIRECT if direct else 0))
        except OSError:
            self._fd = os.open(path, os.O_RDWR)
        self._buffer = mmap.mmap(-1, 1 << 20)

    def read_at(self, offset, length):
        view = memoryview(self._buffer)[:length]
        got = os.preadv(self._fd, [view], offset)
        if got != length:
            raise OSError(f"read of {length} at {offset} gave {got}")
        return bytes(view)

    def write_at(self, offset, data):
        self._buffer[: len(data)] = data
        done = os.pwritev(self._fd, [memoryview(self._buffer)[: len(data)]], offset)
        if done != len(data):
            raise OSError(f"write of {len(data)} at {offset} did {done}")

    def prefetch(self, offset, length):
        os.posix_fadvise(self._fd, offset, length, os.POSIX_FADV_WILLNEED)

    def flush(self):
        os.fsync(self._fd)

    def close(self):
        os.close(self._fd)


def fill(path, seed, first, count, stride=PAGE, length=PAGE):
    """Writes `count` stretches of `length` bytes, `stride` apart, from byte `first * stride`.

    Through the page cache, which keeps many writes in flight at once; durable on return.
    """
    device = Device(path, direct=False)
    for number in range(first, first + count):
        offset = number * stride
        device.write_at(offset, pattern(seed, offset, length))
    device.flush()
    device.close()


def write(path, seed, first, count, block):
    """Writes whole blocks, each with one request that goes past the page cache."""
    device = Device(path)
    for number in range(first, first + count):
        device.write_at(number * block, pattern(seed, number * block, block))
    device.flush()
    device.close()


def blocks(path, block, numbers):
    """[(number, hex digest)] of single blocks."""
    device = Device(path)
    found = [(n, hashlib.md5(device.read_at(n * block, block)).hexdigest()) for n in numbers]
    device.close()
    return found
