"""For each NAME:CACHE_BLOCKS of CACHES copies NAME.meta to its disk, opens the cache, prints `STATE
NAME RESIDENT NEEDS_CHECK` and a `BLOCK NAME ORIGIN_BLOCK DIGEST` for each of BLOCKS, waits until what
was dirty has been written back, closes it, prints `ORIGIN` lines of the origin itself, and copies the
metadata back to NAME.after. First of all it copies the origin's blocks of DIRTIED (FIRST:COUNT,...)
from origin.old."""

import os

import cache as volume
from cache import BLOCK, Cache

NUMBERS = [int(word) for word in os.environ["BLOCKS"].split(",")]
DIRTIED = [[int(word) * BLOCK for word in pair.split(":")] for pair in os.environ["DIRTIED"].split(",")]


def tell(what, name, path):
    for number, hexdigest in volume.digests(path, NUMBERS):
        print(f"{what} {name} {number} {hexdigest}", flush=True)


for word in os.environ["CACHES"].split(","):
    called, blocks = word.split(":")
    volume.copy(f"{called}.meta", volume.META)
    for begin, size in DIRTIED:
        volume.copy("origin.old", volume.ORIGIN, size, begin, begin)
    cache = Cache(int(blocks), os.environ["FEATURES"])
    resident, _, needs_check = cache.status()
    print(f"STATE {called} {resident} {needs_check}", flush=True)
    tell("BLOCK", called, cache.path)
    cache.await_clean()
    cache.close()
    tell("ORIGIN", called, volume.ORIGIN)
    volume.copy(volume.META, f"{called}.after")
