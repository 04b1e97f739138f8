"""What a resume does to the mark of a clean shutdown. STAGE=write: block 100 is cached, clean and
holds "first"; the cache is suspended and resumed, 4 KiB of "second" are written to the block and
flushed, and then the guest waits to lose its power. STAGE=read: opens the cache in MODE and prints
`BLOCK DIGEST` of those 4 KiB, or `REFUSED`."""

import hashlib
import os
import time

from harness import blockio

import cache as volume
from cache import Cache

PAGE = 4096
BLOCKS = 512


def read(mode):
    try:
        cache = Cache(BLOCKS, f"1,{mode}")
    except OSError:
        print("REFUSED", flush=True)
        return
    device = blockio.Device(cache.path)
    print("BLOCK", hashlib.md5(device.read_at(800 * PAGE, PAGE)).hexdigest(), flush=True)
    device.close()
    cache.close()


def write():
    cache = Cache(BLOCKS, "1,writeback")
    cache.write("first", 100, 1)
    cache.close()
    cache = Cache(BLOCKS, "1,writeback", "cleaner")
    cache.await_clean()
    cache.close()
    cache = Cache(BLOCKS, "1,writeback")
    cache.device.suspend()
    cache.device.resume()
    # One that has had no I/O for a second, or none yet, writes back at once what becomes dirty.
    volume.digests(cache.path, [0])
    cache.write("second", 800, 1, PAGE)   # and flushes
    print("WRITTEN", flush=True)
    time.sleep(60)


if os.environ["STAGE"] == "read":
    read(os.environ["MODE"])
else:
    write()
