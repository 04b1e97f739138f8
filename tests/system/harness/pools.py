"""Pools made, read and changed by the real kernel.

A Pool is a pair of image files and what each of its volumes must read as. Three ways to get one:
`make(kind)` from the kernel, `make_unclean()` from a kernel that was killed at work, and by hand
from images of our own.

What the kernel makes of a kind takes it up to a minute, and is the same each time: it is made once
for all tests of a build folder, and each gets copies.
"""

import dataclasses
import fcntl
import hashlib
import json
import pathlib
import re
import shutil
import struct
import subprocess
import xml.etree.ElementTree

from harness import blockio, case, device_mapper, kernel


@dataclasses.dataclass
class Volume:
    sectors: int
    digest: str


@dataclasses.dataclass
class Pool:
    meta: pathlib.Path
    data: pathlib.Path
    block_sectors: int = 128
    stride: int = 0     # how digests are taken: `length` bytes at every `stride`, 0 for all
    length: int = 0
    volumes: dict[int, Volume] = dataclasses.field(default_factory=dict)

    def copy(self, folder):
        """The same pool in files of its own, holes kept."""
        folder.mkdir(parents=True, exist_ok=True)
        for path in (self.meta, self.data):
            subprocess.run(["cp", "--sparse=always", path, folder / path.name], check=True)
        return dataclasses.replace(self, meta=folder / self.meta.name, data=folder / self.data.name,
                                   volumes=dict(self.volumes))


# kind -> metadata MiB, data MiB, and what the guest script is told.
KINDS = {
    "snapshots": (16, 512, {}),
    "deep": (32, 6144, {"SIZE": 96000 * 128, "STRIDE": 5 * 65536, "LENGTH": 4096}),
    "held": (16, 256, {}),
    "grown": (16, 256, {"SIZE": 300032}),
    "odd": (8, 100, {"BLOCK": 384, "SIZE": 32768 + 56}),
}


def _blank(folder, meta_mib, data_mib):
    folder.mkdir(parents=True, exist_ok=True)
    images = []
    for name, mib in (("meta.img", meta_mib), ("data.img", data_mib)):
        path = folder / name
        path.unlink(missing_ok=True)
        with open(path, "wb") as file:
            file.truncate(mib << 20)
        images.append(path)
    return images


def _volumes(lines):
    """The `DIGEST id sectors hex` lines among the guest's output."""
    found = {}
    for line in lines:
        words = line.split()
        if words[:1] == ["DIGEST"]:
            found[int(words[1])] = Volume(int(words[2]), words[3])
    return found


def _recipe(kind):
    """Names what a kind is made by: other scripts, sizes or another kernel make another pool."""
    state = hashlib.blake2b(repr(KINDS[kind]).encode(), digest_size=8)
    for path in (*sorted(kernel.GUEST_SCRIPTS.glob("*.py")), kernel.GUEST_INIT, kernel.program(),
                 *map(pathlib.Path, (blockio.__file__, device_mapper.__file__))):
        state.update(path.read_bytes())
    return f"{kind}-{state.hexdigest()}"


def make(kind, folder):
    """A pool of one of KINDS, made by the kernel; a copy of the build folder's."""
    meta_mib, data_mib, env = KINDS[kind]
    kept = case.BUILD / "kernel-pools" / _recipe(kind)
    kept.mkdir(parents=True, exist_ok=True)
    volumes = kept / "volumes.json"
    with open(kept / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not volumes.exists():
            disks = _blank(kept, meta_mib, data_mib)
            made = _volumes(kernel.run("make_pool.py", kept, disks, dict(env, KIND=kind)))
            volumes.write_text(json.dumps({n: dataclasses.astuple(v) for n, v in made.items()}))
    pool = Pool(kept / "meta.img", kept / "data.img", env.get("BLOCK", 128), env.get("STRIDE", 0),
                env.get("LENGTH", 0),
                {int(n): Volume(*v) for n, v in json.loads(volumes.read_text()).items()})
    return pool.copy(folder)


def make_unclean(folder, steps):
    """A pool whose kernel was killed under load after `steps` rounds; volumes are not known."""
    meta, data = _blank(folder, 16, 256)
    guest = kernel.Guest("load.py", folder, [meta, data])
    for line in guest.lines():
        if line == f"STEP {steps}":
            break
    guest.kill()
    if guest.status is not None:
        raise kernel.GuestFailed("\n".join(guest.output))
    return Pool(meta, data)


def _use(some, volumes, sectors, mutate):
    """For each pool what it printed before it was changed, and after. `volumes`: the ids of each."""
    env = {"POOLS": ":".join(",".join(map(str, ids)) for ids in volumes), "SIZE": sectors,
           "BLOCK": some[0].block_sectors, "STRIDE": some[0].stride, "LENGTH": some[0].length}
    if mutate:
        env["MUTATE"] = 1
    disks = [path for pool in some for path in (pool.meta, pool.data)]
    lines = kernel.run("use_pools.py", some[0].meta.parent, disks, env)
    starts = [lines.index(f"POOL {number}") for number in range(len(some))] + [len(lines)]
    for begin, end in zip(starts, starts[1:]):
        part = lines[begin:end]
        at = part.index("MUTATED") if mutate else len(part)
        yield _volumes(part[:at]), _volumes(part[at:])


def kernel_digests(pool, ids, sectors):
    """What the kernel reads from volumes `ids`, all of `sectors`. Leaves the metadata as it was."""
    [(found, _)] = _use([pool], [ids], sectors, mutate=False)
    return found


def kernel_mutate(pool, ids, sectors):
    """The kernel's digests before, and after it wrote, snapshot, discarded and deleted."""
    [before_and_after] = _use([pool], [ids], sectors, mutate=True)
    return before_and_after


POOLS_MOST = 3     # in one guest: it has seven disks


def kernel_uses(all_pools, sectors, mutate):
    """kernel_mutate(), or with `mutate` False kernel_digests() and nothing, of every volume of several
    pools, a guest for three of them. All have the same block size; volumes are taken to be of
    `sectors`."""
    found = []
    for first in range(0, len(all_pools), POOLS_MOST):
        some = all_pools[first:first + POOLS_MOST]
        found += _use(some, [sorted(thin_ids(pool.meta)) for pool in some], sectors, mutate)
    return found


def thin_check(image):
    """thin_check's complaint about a metadata image, or None."""
    done = subprocess.run([shutil.which("thin_check") or "/usr/sbin/thin_check", image],
                          capture_output=True, text=True)
    return None if done.returncode == 0 else done.stdout + done.stderr


def thin_dump(image):
    """The XML of a metadata image."""
    return subprocess.run([shutil.which("thin_dump") or "/usr/sbin/thin_dump", image],
                          capture_output=True, text=True, check=True).stdout


def thin_ids(image):
    """device id -> mapped blocks, as thin_dump says."""
    return {int(i): int(n) for i, n in
            re.findall(r'<device dev_id="(\d+)" mapped_blocks="(\d+)"', thin_dump(image))}


def mapped_blocks(image, thin_id):
    """The virtual blocks that one volume has mapped, in order."""
    device = xml.etree.ElementTree.fromstring(thin_dump(image)).find(f"device[@dev_id='{thin_id}']")
    blocks = []
    for mapping in device:
        first = int(mapping.get("origin_block", mapping.get("origin_begin")))
        blocks.extend(range(first, first + int(mapping.get("length", 1))))
    return blocks


def restore(pool, image):
    """The pool with its metadata dumped and restored into a new file by the kernel's own tools."""
    xml_path = image.with_suffix(".xml")
    xml_path.write_text(thin_dump(pool.meta).replace('version=""', 'version="2"'))
    with open(image, "wb") as file:
        file.truncate(pool.meta.stat().st_size)
    subprocess.run([shutil.which("thin_restore") or "/usr/sbin/thin_restore", "-i", xml_path, "-o",
                    image], check=True, capture_output=True)
    return dataclasses.replace(pool, meta=image)


def tree_depth(image, thin_id):
    """Levels of nodes in one volume's mapping tree, read from the raw metadata."""
    with open(image, "rb") as file:
        def block(number):
            file.seek(number * 4096)
            return file.read(4096)

        def children(node):
            flags, = struct.unpack_from("<I", node, 4)
            count, capacity = struct.unpack_from("<II", node, 16)
            keys = struct.unpack_from(f"<{count}Q", node, 32)
            values = struct.unpack_from(f"<{count}Q", node, 32 + 8 * capacity)
            return flags == 2, keys, values

        number, = struct.unpack_from("<Q", block(0), 320)
        while True:
            leaf, keys, values = children(block(number))
            at = max(i for i, key in enumerate(keys) if i == 0 or key <= thin_id)
            number = values[at]
            if leaf:
                break
        depth = 1
        while True:
            leaf, _, values = children(block(number))
            if leaf:
                return depth
            depth, number = depth + 1, values[0]
