"""What bad input gets: one clear line that names it, an exit status that says so, and not one byte
of the user's devices changed."""

import os
import pathlib
import random
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import blockio, case, nbd, pools, server, verified_load

MIB = 1 << 20
SUPERBLOCK, NODE, INDEX, BITMAP = 160774, 121107, 160478, 240779
CACHE_SUPERBLOCK, ARRAY = 9031977, 595846735


def crc32c(data):
    """CRC-32C without the final inversion, as the metadata uses it."""
    value = 0xFFFFFFFF
    for byte in data:
        value = (value >> 8) ^ _TABLE[(value ^ byte) & 0xFF]
    return value


def _table():
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        yield value


_TABLE = list(_table())


def kind_of(block):
    """The checksum constant that makes a metadata block right, or None."""
    found = crc32c(block[4:]) ^ struct.unpack_from("<I", block)[0]
    return found if found in (SUPERBLOCK, NODE, INDEX, BITMAP, CACHE_SUPERBLOCK, ARRAY) else None


def resealed(block, kind):
    """The block with its checksum put right."""
    return struct.pack("<I", crc32c(block[4:]) ^ kind) + block[4:]


def blocks_in_use(image):
    """The metadata blocks that the metadata's own space map counts; images of one bitmap."""
    index = struct.unpack_from("<Q", image, 208)[0] * 4096
    bitmap = struct.unpack_from("<Q", image, index + 16)[0] * 4096
    count = min(len(image) // 4096, struct.unpack_from("<Q", image, 192)[0])
    return [n for n in range(count) if image[bitmap + 16 + n // 4] >> n % 4 * 2 & 3]


class BadInput(case.SystemTest):
    SIZE = 16 * MIB

    def setUp(self):
        super().setUp()
        self.meta, self.data = self.folder / "meta.img", self.folder / "data.img"
        for path, size in ((self.meta, 4 * MIB), (self.data, 64 * MIB)):
            with open(path, "wb") as file:
                file.truncate(size)

    def make_pool(self):
        """A small pool with a snapshot, made by our own server."""
        load = verified_load.VerifiedLoad(self.SIZE, 1)
        with server.Wavetankd(self.folder, self.meta, self.data, {0: self.SIZE}) as subject:
            client = nbd.Client(subject.socket, "0")
            load.run(client, lambda: load.writes > 150)
            subject.control("create_snap 1 0")
            load.run(client, lambda: load.writes > 300)
            client.flush()
            client.close()
        self.assertIsNone(pools.thin_check(self.meta))

    def digests(self):
        return [blockio.file_digest(path) for path in (self.meta, self.data) if path.exists()]

    def serve(self, *words, meta=None, data=None, block="64KiB", thin="0:16MiB",
              listen=None):
        listen = listen or server.short_folder(self.folder) / "nbd"
        command = [case.program("wavetankd"), "serve", "--metadata", meta or self.meta,
                   "--data", data or self.data, "--block-size", block, "--thin", thin,
                   "--listen", f"unix:{listen}", *words]
        return [str(word) for word in command]

    def assert_refused(self, command, *names, statuses=(1, 2)):
        """One line, the names in it, a status among `statuses`, and the devices untouched."""
        before = self.digests()
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=15)
        except subprocess.TimeoutExpired:
            self.fail(f"accepted: {' '.join(command)}")
        lines = done.stderr.splitlines()
        self.assertIn(done.returncode, statuses, f"{command}\n{done.stderr}")
        self.assertEqual(len(lines), 1, f"not one line:\n{done.stderr}")
        for name in names:
            self.assertIn(str(name), lines[0])
        self.assertEqual(self.digests(), before, "a device was changed")


@case.needs_programs
class BadFlags(BadInput):
    def test_of_the_server(self):
        self.make_pool()
        fifo = self.folder / "fifo"
        os.mkfifo(fifo)
        for names, words in (
                (["--no-such-flag"], self.serve("--no-such-flag")),
                (["0"], self.serve(block="0")),
                (["block-size"], self.serve(block="100KiB")),
                (["block-size"], self.serve(block="2GiB")),
                (["many"], self.serve(block="many")),
                (["0:"], self.serve(thin="0:")),
                (["16777216"], self.serve(thin="16777216:1MiB")),
                (["x:1MiB"], self.serve(thin="x:1MiB")),
                (["0:100"], self.serve(thin="0:100")),
                (["0:16EiB"], self.serve(thin="0:16EiB")),
                ([], self.serve("--thin", "0:1MiB:again")),
                (["nowhere: cannot open: No such file"],
                 self.serve("--config", self.folder / "nowhere")),
                (["meta.img/c: cannot open: Not a directory"],
                 self.serve("--config", self.meta / "c")),
                ([self.folder.name, "directory"], self.serve("--config", self.folder)),
                (["fifo"], self.serve("--config", fifo)),
                (["fifo"], self.serve("--raw", fifo)),
                (["fifo"], self.serve(meta=fifo)),
                (["nowhere"], self.serve(meta=self.folder / "nowhere")),
                (["nowhere"], self.serve(data=self.folder / "nowhere")),
                ([self.folder.name], self.serve(data=self.folder)),
                (["meta.img"], self.serve(data=self.meta)),
                (["frobnicate"], self.serve("--message", "frobnicate 1")),
                (["create_snap"], self.serve("--message", "create_snap 5 77")),
                (["frobnicate"], self.serve("--feature", "frobnicate")),
                (["/dev/null/x"], self.serve(listen="/dev/null/x")),
                ([], [str(case.program("wavetankd"))]),
                ([], [str(case.program("wavetankd")), "sing"])):
            with self.subTest(" ".join(words[2:])):
                self.assert_refused(words, *names)

    def test_before_anything_is_formatted(self):
        thins = ("0:1M:a b", "0:1M:a/b", "0:1M:a;b", "0:1M:", "0:1M:pool", "0:1M:" + "n" * 128,
                 "0:1M:.", "0:1M:..", "0:16EiB", "0:16384PiB", "0:8PiBs",
                 "0:18446744073709551104", "0:8EiB")
        messages = ("", " ", "frobnicate 1", "create_thin", "create_thin x", "create_thin 16777216",
                    "create_snap 1", "create_snap 1 2 3", "delete -1", "set_transaction_id 0 y",
                    "reserve_metadata_snap 1")
        for option, names, words in (
                *(("--thin", [text], self.serve(thin=text)) for text in thins),
                *(("--message", [text], self.serve("--message", text)) for text in messages),
                ("--message", ["create_thin x"],
                 self.serve("--message", "create_thin 5", "--message", "create_thin x")),
                *(("--cache", [name], self.serve("--cache", f"{name}:metadata=a,fast=b,origin=c"))
                  for name in ("a b", "pool", "", "metadata", "data")),
                *(("--thin", [f"a device below is called '{name}'"], self.serve(thin=f"0:1M:{name}"))
                  for name in ("metadata", "data")),
                ("--thin", [r"a\x1bb"], self.serve(thin="0:1M:a\x1bb")),
                ("--thin", ["raw:r"], self.serve("--raw", "r=x", thin="0:1M:raw:r")),
                *(("--raw", [], self.serve("--raw", f"{name}=x")) for name in ("", "a\nb", "a;b", "thin0")),
                ("--thin", ["'a'"], self.serve("--thin", "1:1M:a", thin="0:1M:a")),
                ("--thin", ["home.fast"],
                 self.serve("--cache", "home:metadata=a,fast=b,origin=c", thin="0:1M:home.fast"))):
            with self.subTest(" ".join(words[6:])):
                self.assert_refused(words, option, *names, statuses=(2,))

    def test_one_path_for_two_sockets(self):
        folder = server.short_folder(self.folder)
        for control in ("nbd", "./nbd", f"../{folder.name}/nbd"):
            with self.subTest(control):
                self.assert_refused(self.serve("--control", f"{folder}/{control}",
                                               listen=folder / "nbd"), "--control", control,
                                    statuses=(2,))

    # Key, value, and a part of what is allowed, in a workload.
    UNUSABLE = (
        ("cache.blocks", "268435456", "1 to 64",
         "[system]\nfamily = \"cache\"\nblock_sectors = 64\n[cache]\nblocks = 268435456\n"),
        ("cache.origin_blocks", "= 0", "1 to 64",
         "[system]\nfamily = \"cache\"\nblock_sectors = 64\n[cache]\norigin_blocks = 0\n"),
        ("system.block_sectors", "100", "multiple of 128", "[system]\nblock_sectors = 100\n"),
        ("system.data_device_blocks", "2", "at least the 9",
         "[system]\ndata_blocks = 9\ndata_device_blocks = 2\n"),
        ("system.thins[0].blocks", "4294967296", "1 to 64",
         "[system]\nthins = [{ id = 0, blocks = 4294967296 }]\n"))

    def test_of_the_tank(self):
        wavetank = str(case.program("wavetank"))
        damaged = self.folder / "damaged"
        fifo = self.folder / "fifo"
        os.mkfifo(fifo)
        for names, words, text in (
                (["no-such"], ["search", "--scenario", "no-such"], None),
                (["no-such"], ["search", "--scenario", "thin-general", "--strategy", "no-such"], None),
                (["no-such"], ["search", "--scenario", "thin-general", "--mutant", "no-such"], None),
                (["damaged"], ["search", "--workload", damaged], b"actors = ["),
                (["damaged"], ["search", "--workload", damaged], os.urandom(300)),
                (["nowhere"], ["search", "--workload", self.folder / "nowhere"], None),
                ([self.folder.name, "directory"], ["search", "--workload", self.folder], None),
                ([self.folder.name, "directory"], ["explore", "--workload", self.folder], None),
                *((["damaged", "line", key, value, wants], [command, "--workload", damaged],
                   text.encode())
                  for command in ("search", "explore")
                  for key, value, wants, text in self.UNUSABLE),
                (["damaged", "no [system]"], ["search", "--workload", damaged], b""),
                (["damaged", "no operations"], ["explore", "--workload", damaged], b"[system]\n"),
                (["damaged"], ["replay", damaged], b""),
                (["damaged"], ["replay", damaged], b"{\"version\": 1"),
                (["damaged"], ["replay", damaged], os.urandom(3000)),
                (["nowhere"], ["replay", self.folder / "nowhere"], None),
                (["nowhere"], ["check", "thin", self.folder / "nowhere"], None),
                (["fifo"], ["check", "thin", fifo], None),
                (["fifo"], ["check", "cache", fifo], None),
                ([], ["list", "spoons"], None)):
            with self.subTest(" ".join(map(str, words))):
                if text is not None:
                    damaged.write_bytes(text)
                self.assert_refused([wavetank, *map(str, words)], *names, statuses=(2,))


@case.needs_programs
class BadNumbers(BadInput):
    WRAPPED = "-18446744073709551615"

    def test_of_the_server(self):
        self.assert_each_refused(self.serve(), {
            "--low-water": ("-1", "1.5", "0x10", "18446744073709551615", ""),
            "--spin-us": ("-1", "x", "18446744073709551615"),
            "--reactors": ("-1", "0", "65", "4294967297", self.WRAPPED)})

    def test_of_runs(self):
        run = [str(word) for word in (case.program("wavetankd"), "run", "--data", self.data,
                                      "--metadata", self.meta)]
        self.assert_each_refused(run, {
            "--runs": ("-1", self.WRAPPED, "1e3"),
            "--seed": ("-1", "x"),
            "--time": ("nan", "inf", "-1", "1s", ""),
            "--reactors": ("0", "65", self.WRAPPED)})

    def assert_each_refused(self, command, options):
        for option, values in options.items():
            for value in values:
                with self.subTest(option=option, value=value):
                    self.assert_refused([*command, f"{option}={value}"], option, value,
                                        statuses=(2,))


@case.needs_programs
class RefusedStarts(BadInput):
    """What only the pool can refuse is refused before anything is changed, be it formatted or not."""

    def allocated(self):
        """Where the files have data, and how long they are."""
        return [(status.st_size, status.st_blocks)
                for status in map(os.stat, (self.meta, self.data))]

    def resize(self, path, size):
        with open(path, "r+b") as file:
            file.truncate(size)

    def assert_nothing_changed(self, command, *names):
        before = self.allocated()
        self.assert_refused(command, *names, statuses=(1,))
        self.assertEqual(self.allocated(), before)

    def test_a_message(self):
        for there in (False, True):
            if there:
                self.make_pool()
            for text in ("create_snap 5 77", "delete 77", "set_transaction_id 5 6",
                         "release_metadata_snap"):
                # What comes before it would have been done by then.
                command = self.serve("--message", "create_thin 9", "--message", text)
                with self.subTest(text, pool=there):
                    self.assert_nothing_changed(command, text)

    def test_a_cache_after_the_pool(self):
        """On a thin that is made first; and a cache below, made before the pool refuses."""
        files = {role: self.folder / role for role in ("cmeta", "fast", "slow")}
        for role, path in files.items():
            path.touch()
            self.resize(path, 8 * MIB if role != "slow" else 64 * MIB)
        named = f"metadata={files['cmeta']},fast={files['fast']}"
        self.resize(files["cmeta"], 8192)
        command = self.serve("--cache", f"hot:{named},origin=home", thin="0:16MiB:home")
        self.assert_nothing_changed(command, "cmeta")
        self.resize(files["cmeta"], 8 * MIB)
        before = files["cmeta"].read_bytes()
        command = self.serve("--cache", f"bulk:{named},origin={files['slow']}", "--message",
                             "delete 77", data="bulk")
        self.assert_nothing_changed(command, "delete 77")
        self.assertEqual(files["cmeta"].read_bytes(), before)

    def enough(self, line):
        """What the refusal says would do, in bytes."""
        return int(line.rsplit("; ", 1)[1].split()[0]) * 1024

    def assert_larger_metadata_does(self, command):
        """The refusal names a size; half of it is refused too, and with it the pool is served."""
        refused = subprocess.run(command, capture_output=True, text=True, timeout=15)
        size = self.enough(refused.stderr)
        self.assertGreater(size, self.meta.stat().st_size)
        self.resize(self.meta, size // 2)
        self.assert_nothing_changed(command, "would do")
        self.resize(self.meta, size)
        thins = {int(word.split(":")[0]): MIB for word in command if word.endswith(":1MiB")}
        with server.Wavetankd(self.folder, self.meta, self.data, thins) as subject:
            self.assertIn(" rw ", subject.control("status pool"))
        self.assertIsNone(pools.thin_check(self.meta))

    def test_blank_metadata_too_small_for_the_data(self):
        self.resize(self.meta, 72 << 10)
        self.resize(self.data, 1 << 38)
        self.digests = lambda: [self.meta.read_bytes(), self.allocated()]   # not all of the data
        command = self.serve(thin="0:1MiB")
        self.assert_nothing_changed(command, "meta.img", "18 blocks", "too small", "data.img")
        self.assert_larger_metadata_does(command)

    def test_metadata_too_small_for_data_that_grew(self):
        self.resize(self.meta, 72 << 10)
        with server.Wavetankd(self.folder, self.meta, self.data, {0: MIB}):
            pass
        self.resize(self.data, 1 << 38)
        self.digests = lambda: [self.meta.read_bytes(), self.allocated()]
        command = self.serve(thin="0:1MiB")
        self.assert_nothing_changed(command, "meta.img", "18 blocks", "too small", "data.img")
        self.assert_larger_metadata_does(command)

    def test_metadata_too_small_for_the_thins(self):
        self.resize(self.meta, 72 << 10)
        more = [word for i in range(1, 40) for word in ("--thin", f"{i}:1MiB")]
        command = self.serve(*more, thin="0:1MiB")
        self.assert_nothing_changed(command, "create_thin", "metadata device is full")
        self.assert_larger_metadata_does(command)


@case.needs_programs
class RefusedRuns(BadInput):
    """`wavetankd run` makes files blank: not those of a run that it refuses."""

    def run_command(self, *words):
        return [str(word) for word in (case.program("wavetankd"), "run", "--data", self.data,
                                       "--metadata", self.meta, "--runs", "1", *words)]

    def test_a_file_in_use(self):
        self.make_pool()
        with server.Wavetankd(self.folder, self.meta, self.data, {0: self.SIZE}):
            idle = self.folder / "idle.img"
            idle.write_bytes(os.urandom(4096))
            before = idle.read_bytes()
            for one, other in (("--data", "--metadata"), ("--metadata", "--data")):
                held = self.meta if other == "--metadata" else self.data
                command = [str(case.program("wavetankd")), "run", "--overwrite", "--runs", "1",
                           one, str(idle), other, str(held)]
                with self.subTest(other):
                    self.assert_refused(command, held, "in use", statuses=(2,))
                    self.assertEqual(idle.read_bytes(), before)

    def test_a_missing_file_is_not_left_behind(self):
        fresh = self.folder / "fresh.img"
        command = self.run_command("--overwrite")
        command[command.index(str(self.meta))] = str(fresh)
        command[command.index(str(self.data))] = str(self.folder)
        self.assert_refused(command, self.folder, "not a regular file", statuses=(2,))
        self.assertFalse(fresh.exists())

    def test_a_file_that_holds_something(self):
        for offset in (0, 3 * MIB, 64 * MIB - 1):
            for sparse in (True, False):
                with self.subTest(offset=offset, sparse=sparse):
                    with open(self.data, "wb") as file:
                        if sparse:
                            file.truncate(64 * MIB)
                        else:
                            file.write(bytes(64 * MIB))
                        file.seek(offset)
                        file.write(b"x")
                    self.assert_refused(self.run_command(), self.data, "holds something",
                                        statuses=(2,))

    def test_a_disk_without_a_file(self):
        self.meta.write_bytes(os.urandom(4096))
        self.assert_refused(self.run_command("--scenario", "cache-general", "--overwrite"), "'fast'",
                            statuses=(2,))


@case.needs_programs
class ForeignDevices(BadInput):
    def test_wrong_block_size(self):
        self.make_pool()
        self.assert_refused(self.serve(block="128KiB"), "not the recorded data block size", "65536",
                            "meta.img")

    def test_data_device_too_small(self):
        self.make_pool()
        with open(self.data, "r+b") as file:
            file.truncate(32 * MIB)
        self.assert_refused(self.serve(), "data.img")

    def test_metadata_device_too_small(self):
        for size in (0, 512, 4000, 4095, 4096, 17 * 4096):
            with self.subTest(size=size):
                with open(self.meta, "r+b") as file:
                    file.truncate(size)
                listen = server.short_folder(self.folder) / "nbd"
                self.assert_refused(self.serve(listen=listen), "meta.img",
                                    *(["metadata device too small"] if size >= 512 else []))
                self.assertFalse(listen.exists())

    def test_truncated_metadata(self):
        self.make_pool()
        with open(self.meta, "r+b") as file:
            file.truncate(2 * MIB)
        self.assert_refused(self.serve(), "meta.img")

    def test_foreign_contents(self):
        for name, contents in (("noise", os.urandom(1 * MIB)),
                               ("text", b"not a pool\n" * 1000),
                               ("a file system", bytes(1080) + b"\x53\xef" + bytes(4000)),
                ("a cache", bytes(32) + struct.pack("<Q", 6142003) + bytes(4000))):
            with self.subTest(name):
                self.meta.write_bytes(contents + bytes(4 * MIB - len(contents)))
                magic = struct.unpack_from("<Q", contents, 32)[0]
                self.assert_refused(self.serve(), "meta.img", "not a thin pool's superblock",
                                    f"the magic found is {magic},")

    def test_damage_is_not_taken_for_foreign(self):
        self.make_pool()
        good = self.meta.read_bytes()
        for offsets, name in (((100,), "block checksum"), ((33,), "damaged superblock"),
                              ((32, 36, 39, 100), "damaged superblock")):
            with self.subTest(offsets):
                bad = bytearray(good)
                for offset in offsets:
                    bad[offset] ^= 0xff
                self.meta.write_bytes(bad)
                self.assert_refused(self.serve(), "meta.img", name, "block checksum")

    def test_each_field_of_the_superblock(self):
        """Flipped with the checksum left, and put right: refused, or opened and then sound."""
        self.make_pool()
        good = self.meta.read_bytes()
        block = good[:4096]
        self.assertEqual(kind_of(block), SUPERBLOCK)
        fatal = {"csum": (0, 4), "blocknr": (8, 8), "magic": (32, 8), "data_block_size": (336, 4),
                 "metadata_block_size": (340, 4), "incompat_flags": (360, 4),
                 "data_mapping_root": (320, 8), "device_details_root": (328, 8),
                 "data space map blocks": (64, 8), "metadata space map blocks": (192, 8),
                 "data space map root": (80, 8), "metadata space map root": (208, 8)}
        for name, (offset, size) in fatal.items():
            for seal in (False, True):
                if name == "csum" and seal:
                    continue
                with self.subTest(field=name, resealed=seal):
                    bad = bytearray(block)
                    bad[offset + size // 2] ^= 0x55
                    bad = resealed(bytes(bad), SUPERBLOCK) if seal else bytes(bad)
                    self.meta.write_bytes(bad + good[4096:])
                    self.assert_refused(self.serve(), "meta.img")

    def test_a_device_in_use(self):
        self.make_pool()
        with server.Wavetankd(self.folder, self.meta, self.data, {0: self.SIZE}):
            command = self.serve(listen=f"{server.short_folder(self.folder / 'other')}/nbd")
            done = subprocess.run(command, capture_output=True, text=True, timeout=15)
            self.assertNotEqual(done.returncode, 0, "two servers of one pool")
            self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)


@case.needs_programs
class PoolsThatMayNotChange(BadInput):
    def assert_served_unchanged(self, *extra):
        """The thins that there are, and none that would have to be made."""
        before = self.digests()
        with server.Wavetankd(self.folder, self.meta, self.data, {0: self.SIZE, 1: self.SIZE},
                              extra=extra) as subject:
            for name in ("0", "1"):
                client = nbd.Client(subject.socket, name)
                client.submit(nbd.READ, 0, 4096)
                self.assertEqual(client.reap()[1], 0)
                client.close()
        self.assertEqual(self.digests(), before)
        self.assert_refused(self.serve("--thin", "7:1MiB", *extra), "thin 7: not in the pool",
                            "the pool's mode allows no messages")

    def test_read_only(self):
        self.make_pool()
        self.assert_served_unchanged("--feature", "read_only")

    def test_needs_check(self):
        self.make_pool()
        good = self.meta.read_bytes()
        flags = struct.unpack_from("<I", good, 4)[0] | 1
        block = good[:4] + struct.pack("<I", flags) + good[8:4096]
        self.meta.write_bytes(resealed(block, SUPERBLOCK) + good[4096:])
        self.assert_served_unchanged()


@case.needs_programs
class DamagedBlocks(BadInput):
    def test_the_checker_on_every_kind_of_block(self):
        """Any byte of any metadata block: damage is told, nothing crashes, nothing is written."""
        self.make_pool()
        good = self.meta.read_bytes()
        kinds = {}
        for number in blocks_in_use(good):
            kinds.setdefault(kind_of(good[number * 4096:][:4096]), []).append(number)
        self.assertEqual({SUPERBLOCK, NODE, INDEX, BITMAP}, set(kinds))
        source = random.Random(11)
        told = 0   # of those with a right checksum: most of their bytes may be anything
        for kind in (SUPERBLOCK, NODE, INDEX, BITMAP):
            for _ in range(25):
                number = source.choice(kinds[kind])
                seal = source.random() < 0.7
                bad = bytearray(good[number * 4096:][:4096])
                at = source.choice((4, 8, 12, 16, 20, 24, 32, 40, 64, 320, 336,
                                    source.randrange(4, 4096)))
                bad[at] ^= source.choice((1, 0x80, 0xFF))
                bad = resealed(bytes(bad), kind) if seal else bytes(bad)
                image = bytearray(good)
                image[number * 4096:(number + 1) * 4096] = bad
                with self.subTest(block=number, at=at, resealed=seal):
                    self.meta.write_bytes(image)
                    before = self.digests()
                    status, said = server.check_thin(self.meta)
                    self.assertIn(status, (0, 1, 2), said)
                    if not seal:
                        self.assertEqual(status, 2, said)
                    told += seal and status != 0
                    self.assertEqual(self.digests(), before)
        self.assertGreater(told, 10)

    def test_the_server_on_damage_found_while_it_runs(self):
        """Never a crash: I/O may fail, the pool may leave write mode, the server still ends well."""
        self.make_pool()
        good = self.meta.read_bytes()
        nodes = [n for n in range(1, len(good) // 4096)
                 if any(good[n * 4096:][:4096]) and kind_of(good[n * 4096:][:4096]) == NODE]
        source = random.Random(12)
        for number in source.sample(nodes, min(12, len(nodes))):
            with self.subTest(block=number):
                bad = bytearray(good)
                bad[number * 4096 + 100] ^= 0xFF
                self.meta.write_bytes(bad)
                try:
                    subject = server.Wavetankd(self.folder, self.meta, self.data, {0: self.SIZE})
                except server.ServerFailed as refused:
                    self.assertRegex(str(refused), r"^ended with [12]:")
                    continue
                with subject:
                    client = nbd.Client(subject.socket, "0")
                    for page in range(0, self.SIZE // 4096, 5):
                        client.submit(source.choice((nbd.READ, nbd.TRIM)), page * 4096, 4096)
                        client.reap()
                    client.submit(nbd.FLUSH)
                    client.reap()
                    client.close()


@case.needs_programs
class CacheImages(BadInput):
    """Metadata of a cache that somebody has changed, for the server and for the checker."""

    FATAL = {"csum": (0, 4), "flags": (4, 4), "blocknr": (8, 8), "magic": (32, 8), "version": (40, 4),
             "space map blocks": (64, 8), "space map root": (80, 8), "mapping_root": (192, 8),
             "data_block_size": (232, 4), "compat_ro_flags": (248, 4), "incompat_flags": (252, 4)}

    def setUp(self):
        super().setUp()
        self.files = [self.folder / f"{name}.img" for name in ("meta", "fast", "origin")]
        for path, size in zip(self.files, (4 * MIB, 4 * MIB, self.SIZE)):
            with open(path, "wb") as file:
                file.truncate(size)
        load = verified_load.VerifiedLoad(self.SIZE, 1, trims_read_as_zeroes=False)
        subject = server.CachedVolume(self.folder, "home", ",block-size=32768")
        client = nbd.Client(subject.socket, "home")
        load.run(client, lambda: load.writes > 300)
        client.flush()
        client.close()
        subject.stop()
        self.good = self.meta.read_bytes()
        self.assertEqual(kind_of(self.good[:4096]), CACHE_SUPERBLOCK)

    def digests(self):
        return [blockio.file_digest(path) for path in self.files]

    def serve_cache(self, block=32768):
        roles = zip(("metadata", "fast", "origin"), self.files)
        where = ",".join(f"{role}={path}" for role, path in roles)
        listen = server.short_folder(self.folder) / "nbd"
        return [str(case.program("wavetankd")), "serve", "--cache",
                f"home:{where},block-size={block}", "--listen", f"unix:{listen}"]

    def check(self):
        """`wavetank check cache`: its status; it writes nothing and does not crash."""
        before = self.digests()
        done = subprocess.run([case.program("wavetank"), "check", "cache", str(self.meta)],
                              capture_output=True, text=True, timeout=60)
        said = done.stdout + done.stderr
        self.assertIn(done.returncode, (0, 1, 2), said)
        self.assertEqual(self.digests(), before)
        if done.returncode:
            self.assertTrue(said.strip(), "damage that is not told")
        return done.returncode

    def put(self, number, at, flip, seal):
        block = bytearray(self.good[number * 4096:][:4096])
        kind = kind_of(bytes(block))
        block[at] ^= flip
        block = resealed(bytes(block), kind) if seal else bytes(block)
        self.meta.write_bytes(self.good[:number * 4096] + block + self.good[(number + 1) * 4096:])

    def test_fields_of_the_superblock(self):
        self.assertEqual(self.check(), 0)
        for name, (offset, size) in self.FATAL.items():
            for seal in (False, True):
                if name == "csum" and seal:
                    continue
                with self.subTest(field=name, resealed=seal):
                    self.put(0, offset + size // 2, 0x55, seal)
                    self.assert_refused(self.serve_cache(), "meta.img")
                    self.assertEqual(self.check(), 2)

    def test_every_kind_of_block(self):
        kinds = {}
        for number in range(len(self.good) // 4096):
            kind = kind_of(self.good[number * 4096:][:4096])
            if any(self.good[number * 4096:][:4096]) and kind:
                kinds.setdefault(kind, []).append(number)
        self.assertEqual({CACHE_SUPERBLOCK, NODE, INDEX, BITMAP, ARRAY}, set(kinds))
        source = random.Random(13)
        told = 0
        for kind in (CACHE_SUPERBLOCK, NODE, INDEX, BITMAP, ARRAY):
            for _ in range(8):
                number, seal = source.choice(kinds[kind]), source.random() < 0.5
                at = source.choice((4, 8, 12, 16, 24, 32, source.randrange(4, 4096)))
                with self.subTest(block=number, at=at, resealed=seal):
                    self.put(number, at, source.choice((1, 0x80, 0xFF)), seal)
                    told += self.check() != 0
        self.assertGreater(told, 5)   # of those in use: what is free may be anything

    def test_sizes_that_do_not_fit(self):
        self.assert_refused(self.serve_cache(65536), "meta.img", "32768")
        with open(self.meta, "r+b") as file:
            file.truncate(16 * 4096)
        self.assert_refused(self.serve_cache(), "meta.img")
        with open(self.meta, "r+b") as file:
            file.truncate(1000)
        self.assert_refused(self.serve_cache(), "meta.img", "metadata device too small")

    def test_foreign_contents(self):
        self.meta.write_bytes(b"not a cache\n" * 1000 + bytes(4 * MIB - 12000))
        self.assert_refused(self.serve_cache(), "meta.img")
        self.assertEqual(self.check(), 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
