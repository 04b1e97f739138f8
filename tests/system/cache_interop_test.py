"""Our cache metadata and the kernel's are the same, in both versions: either opens the other's.

The data devices are there to prove it: a block that is mapped reads as the fast device has it.
"""

import hashlib
import pathlib
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import blockio, case, kernel

MIB = 1 << 20
BLOCK = 32768
ORIGIN_BLOCKS = 2048
FEATURES = {1: "2,writeback,no_discard_passdown", 2: "3,writeback,metadata2,no_discard_passdown"}
TOOL = case.program("tests/cache_interop_tool")


class Dump:
    """What our library loads from an image."""

    def __init__(self, lines):
        self.mappings, self.hints, self.dirty, self.discards = {}, {}, set(), []
        for line in lines:
            word, *rest = line.split()
            if word == "cache":
                self.version, self.blocks, self.clean = int(rest[0]), int(rest[1]), rest[2] == "clean"
            elif word == "stats":
                self.stats = tuple(map(int, rest))
            elif word == "map":
                self.mappings[int(rest[1])] = int(rest[0])   # by origin block
                if rest[2] == "dirty":
                    self.dirty.add(int(rest[1]))
                if rest[3] != "-":
                    self.hints[int(rest[1])] = int(rest[3])
            elif word == "discard":
                self.discards.append((int(rest[0]), int(rest[1])))


def ours(image, version, blocks, *ops):
    done = subprocess.run([TOOL, image, str(version), str(blocks), str(ORIGIN_BLOCKS), *ops],
                          capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(f"{image.name} {ops}: {done.stderr}")
    return done.stdout.splitlines()


def our_dump(image, blocks):
    # On a copy: what is looked at must not change.
    copy = image.with_suffix(".look")
    copy.write_bytes(image.read_bytes())
    return Dump(ours(copy, 1, blocks, "dump"))


def sparse(path, size):
    with open(path, "wb") as file:
        file.truncate(size)
    return path


def md5(content):
    return hashlib.md5(content).hexdigest()


def cache_check(image):
    return subprocess.run(["cache_check", image], capture_output=True, text=True)


@case.needs_kernel
@unittest.skipUnless(TOOL, "cache_interop_tool is not built")
class CacheInterop(case.SystemTest):
    def disks(self):
        return [sparse(self.folder / "meta.img", 4 * MIB),
                sparse(self.folder / "fast.img", 24 * MIB),
                sparse(self.folder / "origin.img", ORIGIN_BLOCKS * BLOCK)]

    def assert_sound(self, image, says_check=0):
        tool = cache_check(image)
        self.assertEqual(tool.returncode, says_check, f"{image.name}: {tool.stderr}{tool.stdout}")
        if case.program("wavetank"):
            mine = subprocess.run([case.program("wavetank"), "check", "cache", image],
                                  capture_output=True, text=True)
            self.assertEqual(mine.returncode, 2 if says_check else 0, mine.stdout)

    def kernel_to_ours(self, version):
        disks = self.disks()
        lines = kernel.run("make_caches.py", self.folder, disks, {"FEATURES": FEATURES[version]})
        states = {w[1]: int(w[2]) for w in map(str.split, lines) if w[0] == "STATE"}
        mapped, again = range(100, 140), range(103, 109)
        stations = {"unclean": 512, "dirty": 512, "cleaned": 512, "some": 512, "grown": 700,
                    "shrunk": 509}
        for name, blocks in stations.items():
            with self.subTest(name=name, version=version):
                meta = self.folder / f"{name}.meta"
                dump = our_dump(meta, blocks)
                late = name in ("some", "grown", "shrunk")
                self.assertEqual((dump.version, dump.blocks), (version, blocks))
                self.assertEqual(dump.clean, name != "unclean")
                self.assertEqual(set(dump.mappings), set(mapped))
                self.assertEqual(states.get(name, len(mapped)), len(mapped))
                self.assertEqual(set(dump.hints),
                                 set() if name in ("unclean", "cleaned") else set(mapped))
                self.assertEqual(dump.discards, [(33, 96)] if late else [])
                fast = (self.folder / f"{name}.fast").read_bytes()
                origin = (self.folder / f"{name}.origin").read_bytes()
                for number, block in enumerate(mapped):
                    place = dump.mappings[block]
                    cached = fast[place * BLOCK:(place + 1) * BLOCK]
                    seed = "second" if late and block in again else "first"
                    self.assertEqual(cached, blockio.pattern(seed, block * BLOCK, BLOCK))
                    # The kernel writes back when it likes; what it has not is dirty.
                    written_back = origin[number * BLOCK:(number + 1) * BLOCK] == cached
                    self.assertEqual(block in dump.dirty, not (dump.clean and written_back))
                # What the kernel leaves behind a shrunk array, the tool calls damage. Not so ours.
                self.assert_sound(meta, says_check=1 if name == "shrunk" else 0)
                ours(meta, version, blocks, f"resize:{blocks}", "begin", "shutdown:0:5")
                self.assert_sound(meta)
                self.assertEqual(our_dump(meta, blocks).mappings, dump.mappings)

    def ours_to_kernel(self, version):
        disks = self.disks()
        with open(disks[2], "r+b") as origin:
            for block in range(ORIGIN_BLOCKS):
                origin.seek(block * BLOCK)
                origin.write(blockio.pattern("origin", block * BLOCK, BLOCK))
        shutil.copy(disks[2], self.folder / "origin.old")
        fast = b"".join(blockio.pattern("fast", place * BLOCK, BLOCK) for place in range(700))
        disks[1].write_bytes(fast)
        # name -> cache blocks that the kernel sees, and how the image was made.
        recipes = {
            "clean": (512, ["fill:5:300:40", "fill:490:100:15", "commit", "shutdown:4:42"]),
            "unclean": (512, ["fill:5:300:40", "fill:490:100:15", "commit"]),
            "resumed": (512, ["fill:5:300:55", "commit", "shutdown:4:42", "begin"]),
            "holes": (512, ["fill:5:300:90", "commit", "remove:6", "remove:50", "shutdown:0:1"]),
            "grown": (700, ["fill:5:300:55", "shutdown:3:42", "resize:700", "shutdown:3:42"]),
            "shrunk": (509, ["fill:5:300:55", "shutdown:3:42", "resize:509", "begin",
                             "shutdown:3:42"]),
            "to-grow": (700, ["fill:5:300:55", "shutdown:3:42"]),
            "to-shrink": (300, ["fill:5:300:55", "shutdown:3:42"]),
        }
        before = {}
        for name, (blocks, ops) in recipes.items():
            meta = sparse(self.folder / f"{name}.meta", 4 * MIB)
            made = {"grown": 600, "shrunk": 600, "to-grow": 600, "to-shrink": 600}.get(name, blocks)
            ours(meta, version, made, *ops)
            self.assert_sound(meta)
            before[name] = our_dump(meta, blocks)
        origins = [0, 50, 100, 104, 114, 115, 299, 300, 301, 339, 340, 345, 354, 355, 389, 390]
        lines = kernel.run("use_caches.py", self.folder, disks, {
            "FEATURES": FEATURES[version], "BLOCKS": ",".join(map(str, origins)),
            "DIRTIED": "100:15,300:90",
            "CACHES": ",".join(f"{n}:{blocks}" for n, (blocks, _) in recipes.items())})
        states = {w[1]: w[2:] for w in map(str.split, lines) if w[0] == "STATE"}
        read = {tuple(w[:3]): w[3] for w in map(str.split, lines) if w[0] in ("BLOCK", "ORIGIN")}
        for name, (blocks, _) in recipes.items():
            with self.subTest(name=name, version=version):
                dump = before[name]
                self.assertEqual(dump.clean, name not in ("unclean", "resumed"))
                self.assertEqual(states[name], [str(len(dump.mappings)), "-"])
                for origin in origins:
                    place = dump.mappings.get(origin)
                    cached = None if place is None else fast[place * BLOCK:(place + 1) * BLOCK]
                    old = blockio.pattern("origin", origin * BLOCK, BLOCK)
                    self.assertEqual(read["BLOCK", name, str(origin)], md5(cached or old), origin)
                    # The kernel has written back just what we called dirty.
                    self.assertEqual(read["ORIGIN", name, str(origin)],
                                     md5(cached if origin in dump.dirty else old), origin)
                # Looked at by the kernel and shut down by it: the same again.
                after = our_dump(self.folder / f"{name}.after", blocks)
                self.assertTrue(after.clean)
                self.assertEqual(after.blocks, blocks)
                self.assertEqual(after.mappings, dump.mappings)
                self.assertEqual(after.dirty, set())
                self.assertEqual(after.discards, [(10, 20)] if dump.clean else [])
                self.assertEqual(set(after.hints), set(after.mappings))
                if dump.clean:
                    self.assertEqual(dump.stats, (1, 2, 3, 4))
                self.assert_sound(self.folder / f"{name}.after")

    def test_version_1_kernel_to_ours(self):
        self.kernel_to_ours(1)

    def test_version_2_kernel_to_ours(self):
        self.kernel_to_ours(2)

    def test_version_1_ours_to_kernel(self):
        self.ours_to_kernel(1)

    def test_version_2_ours_to_kernel(self):
        self.ours_to_kernel(2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
