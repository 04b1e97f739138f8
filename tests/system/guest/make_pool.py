"""Makes a pool of one KIND and prints its volumes as DIGEST lines. Each kind leaves another shape of
metadata behind."""

import os

from harness import blockio

from mapped import Mapped
from pool import Pool
import system_calls

ASKED = {name.lower(): int(os.environ[name]) for name in ("BLOCK", "SIZE", "STRIDE", "LENGTH")
         if name in os.environ}


def make_snapshots():
    """Two origins; snapshots four deep, each rewritten in part; holes; a deleted middle."""
    pool = Pool(**ASKED)
    pool.create(0)
    pool.create(1)
    pool.fill(0, "base", 0, 600)
    pool.fill(1, "other", 0, 64, 65536, 65536)
    for thin in (2, 3, 4, 5):
        pool.snapshot(0, thin)
        pool.fill(0, f"after-{thin}", thin * 40, 200)
        pool.discard(0, 65536 * thin * 3, 65536 * 5)
    pool.up(3)
    pool.snapshot(3, 6)
    pool.fill(3, "branch", 100, 300)
    pool.down(3)
    pool.message("delete 4")
    pool.message("set_transaction_id 0 7")
    pool.tell_digests(0, 1, 2, 3, 5, 6)
    pool.close()


def make_deep():
    """One volume whose mapping tree is three levels deep: every second block in order, then the gaps."""
    pool = Pool(**ASKED)
    pool.create(0)
    pool.fill(0, "even", 0, 48000, 131072, 4096)
    device = blockio.Device(pool.thins[0].path, direct=False)
    for number in range(0, 48000, 3):
        offset = ((number * 7919) % 48000) * 131072 + 65536
        device.write_at(offset, blockio.pattern("odd", offset, 4096))
    device.flush()
    device.close()
    print(*pool.device.status(), flush=True)
    pool.tell_digests(0)
    pool.close()


def make_held():
    """A metadata snapshot is held while the pool goes on."""
    pool = Pool(**ASKED)
    pool.create(0)
    pool.fill(0, "base", 0, 500)
    pool.message("reserve_metadata_snap")
    pool.fill(0, "later", 200, 900)
    pool.snapshot(0, 1)
    pool.fill(0, "last", 0, 50)
    pool.tell_digests(0, 1)
    pool.close()


def make_grown():
    """Metadata and data devices that grew under a pool: both began as a part of their disk."""
    disk = "/dev/ubdb"
    meta = Mapped("md", f"8192 linear {disk} 0")
    half = system_calls.sectors("/dev/ubdc") // 2 // 128 * 128
    pool = Pool(meta=meta.number, data_sectors=half, **ASKED)
    pool.create(0)
    pool.fill(0, "small", 0, 700)
    pool.device.suspend()
    meta.load(f"{system_calls.sectors(disk)} linear {disk} 0")
    meta.suspend()
    meta.resume()
    pool.device.load(pool.table())
    pool.device.resume()
    pool.fill(0, "large", 16, 2300, 65536, 4096)
    pool.tell_digests(0)
    pool.close()
    meta.remove()


def make_odd():
    """Zeroing on, a 192 KiB block, sizes that are no multiple of it."""
    pool = Pool(features="0", **ASKED)
    pool.create(11)
    pool.fill(11, "zeroed", 3, 90, 40960, 4096)
    pool.snapshot(11, 16777215)
    pool.fill(11, "zeroed-2", 10, 20, 40960, 4096)
    pool.tell_digests(11, 16777215)
    pool.close()


{"snapshots": make_snapshots, "deep": make_deep, "held": make_held, "grown": make_grown,
 "odd": make_odd}[os.environ["KIND"]]()
