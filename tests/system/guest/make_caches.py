"""Takes one cache through its life and leaves copies of its metadata (NAME.meta), of its fast device
(NAME.fast) and of origin blocks 100 to 139 (NAME.origin) at each station; prints `STATE NAME
RESIDENT` as the kernel has it there. FEATURES is the table's."""

import os

import cache as volume
from cache import BLOCK, Cache

FEATURES = os.environ["FEATURES"]


def tell(name, cache):
    cache.commit()
    print(f"STATE {name} {cache.status()[0]}", flush=True)


def save(name):
    volume.copy(volume.META, f"{name}.meta")
    volume.copy(volume.FAST, f"{name}.fast")
    volume.copy(volume.ORIGIN, f"{name}.origin", 40 * BLOCK, source_at=100 * BLOCK)


# Whole blocks, each one bio: free places are given to them at once, and they are dirty.
first = Cache(512, FEATURES)
first.write("first", 100, 40)
tell("unclean", first)
save("unclean")
first.close()
save("dirty")

cleaner = Cache(512, FEATURES, "cleaner")
cleaner.await_clean()
tell("cleaned", cleaner)
cleaner.close()
save("cleaned")

# Some of them dirty again, and a discard of [1 MiB + 4 KiB, 3 MiB).
some = Cache(512, FEATURES)
some.write("second", 103, 6)
some.discard(1048576 + 4096, 2097152 - 4096)
tell("some", some)
some.close()
save("some")

for resized, blocks in (("grown", 700), ("shrunk", 509)):
    again = Cache(blocks, FEATURES)
    tell(resized, again)
    again.close()
    save(resized)
