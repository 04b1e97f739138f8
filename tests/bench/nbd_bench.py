#!/usr/bin/env python3
"""The NBD export against qemu-storage-daemon, with the same fio jobs, as ratios to raw io_uring.

Every round runs fio on a plain file (io_uring, O_DIRECT) and on each export, in turns that begin with
another one each time; a row shows the median ratio over the rounds and the server's own CPU time a
request, from /proc. "memory" is our server on a file in memory: what the client and the protocol
reach here when the disk costs nothing, so that no server on a disk reaches more. Jobs that do each block once get another part of the volume in each round. All
servers run side by side; those that are not asked anything do nothing.
"""

import argparse
import json
import mmap
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

BLOCK = 64 << 10
TICK = os.sysconf("SC_CLK_TCK")


class Job:
    """One fio job over a volume of `size` bytes, or, without `seconds`, once over a part of it."""

    def __init__(self, name, rw, depth, size, block=4096, seconds=None, stride=0, aim=""):
        self.name, self.rw, self.depth, self.size = name, rw, depth, size
        self.block, self.seconds, self.stride, self.aim = block, seconds, stride, aim

    def arguments(self, part, parts):
        size = self.size if self.seconds else self.size // parts
        words = ["fio", "--name=job", "--output-format=json", f"--rw={self.rw}", f"--bs={self.block}",
                 f"--iodepth={self.depth}", f"--size={size}", "--randrepeat=1", "--thread"]
        if self.seconds:
            words += ["--time_based", f"--runtime={self.seconds}"]
        else:
            words += [f"--offset={size * part}"]
        if self.stride:   # every stride-th place once: one request for each block of the pool
            words += ["--zonemode=strided", f"--zonesize={self.block}", f"--zonerange={self.stride}",
                      f"--io_size={size // self.stride * self.block}"]
        return words

    def run(self, target, part=0, parts=1):
        done = subprocess.run([*self.arguments(part, parts), *target], capture_output=True, text=True,
                              timeout=600)
        if done.returncode != 0:
            sys.exit(f"{' '.join(done.args)}: {done.stderr or done.stdout}")
        start = done.stdout.index("{")
        job = json.loads(done.stdout[start:])["jobs"][0]
        side = job["read" if "read" in self.rw else "trim" if "trim" in self.rw else "write"]
        return {"iops": side["iops"], "count": side["total_ios"]}


class Served:
    """A server process with an export; `cpu()` is its time in user and kernel, in seconds."""

    def __init__(self, folder, name, words):
        self.sock = folder / f"{name}.sock"
        self.sock.unlink(missing_ok=True)
        self.log = folder / f"{name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([str(word) for word in words], stdout=log,
                                            stderr=subprocess.STDOUT)
        self.uri = f"nbd+unix:///vol?socket={self.sock}"
        for _ in range(1000):
            try:
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(str(self.sock))
                return
            except OSError:
                if self.process.poll() is not None:
                    sys.exit(f"{words[0]} ended: {self.log.read_text()}")
                time.sleep(0.02)
        sys.exit(f"{words[0]} does not listen")

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def write_through(path, size):
    """A file whose blocks have all been written, so that nobody pays for their allocation."""
    with open(path, "wb") as file:
        chunk = b"w" * (1 << 20)
        for _ in range(size >> 20):
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def settle(path, seconds=10):
    """Waits until the disk answers promptly again after what was written to it."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    buffer = mmap.mmap(-1, 4096)
    end = time.monotonic() + seconds
    prompt = 0
    while prompt < 50 and time.monotonic() < end:
        began = time.monotonic()
        os.preadv(fd, [buffer], 0)
        prompt = prompt + 1 if time.monotonic() - began < 0.005 else 0
    os.close(fd)


KINDS = ("thin", "raw", "memory", "qemu_raw", "qemu_qcow2")


class Bench:
    """The files, written once; thin and qcow2 images are made anew for each state that jobs need."""

    def __init__(self, build, folder, memory, size, rounds):
        self.build, self.folder, self.size, self.rounds = build, folder, size, rounds
        for name, length in (("base", size), ("raw", size), ("qemu", size),
                             ("data", 2 * size + (64 << 20))):
            write_through(folder / f"{name}.img", length)
        write_through(memory / "memory.img", size)
        self.servers = {"raw": self.serve("raw", "--raw", f"vol={folder / 'raw.img'}"),
                        "memory": self.serve("memory", "--raw", f"vol={memory / 'memory.img'}"),
                        "qemu_raw": self.qemu("qemu_raw", folder / "qemu.img", "raw")}

    def stop(self):
        for served in self.servers.values():
            served.stop()
        self.servers = {}

    def serve(self, name, *words):
        return Served(self.folder, name, [self.build / "wavetankd", "serve", *words, "--listen",
                                          f"unix:{self.folder / name}.sock"])

    def qemu(self, name, image, kind):
        return Served(self.folder, name, [
            "qemu-storage-daemon", "--blockdev",
            f"driver=file,node-name=f,filename={image},aio=io_uring,cache.direct=on,discard=unmap",
            "--blockdev", f"driver={kind},node-name=d,file=f,discard=unmap", "--nbd-server",
            f"addr.type=unix,addr.path={self.folder / name}.sock", "--export",
            "type=nbd,id=e,node-name=d,name=vol,writable=on"])

    def serve_thin(self, *more):
        return self.serve("thin", "--metadata", self.folder / "meta.img", "--data",
                          self.folder / "data.img", "--block-size", "64KiB", "--thin",
                          f"0:{self.size}:vol", *more)

    def prepare(self, state):
        """Volumes of which nothing is mapped, or all, or all and a snapshot has it too."""
        for kind in ("thin", "qemu_qcow2"):
            if kind in self.servers:
                self.servers.pop(kind).stop()
        meta, image = self.folder / "meta.img", self.folder / "vol.qcow2"
        for path in (meta, image):
            path.unlink(missing_ok=True)
        with open(meta, "wb") as file:
            file.truncate(64 << 20)
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=64k", image,
                        str(self.size)], check=True)
        thin, qcow2 = self.serve_thin(), self.qemu("qemu_qcow2", image, "qcow2")
        if state != "unmapped":
            for served in (thin, qcow2):
                fill(served.uri, self.size)
        if state == "shared":
            thin.stop()
            thin = self.serve_thin("--message", "create_snap 1 0")
            qcow2.stop()
            subprocess.run(["qemu-img", "snapshot", "-c", "s", image], check=True)
            qcow2 = self.qemu("qemu_qcow2", image, "qcow2")
        self.servers |= {"thin": thin, "qemu_qcow2": qcow2}

    def measure(self, job, kind, part):
        """(requests a second, server's CPU in us a request)"""
        if kind == "base":
            # fio's io_uring engine does not trim files; hole punching takes turns in any case.
            engine = "falloc" if "trim" in job.rw else "io_uring"
            got = job.run([f"--filename={self.folder / 'base.img'}", f"--ioengine={engine}",
                           "--direct=1"], part, self.rounds)
            return got["iops"], 0
        served = self.servers[kind]
        before = served.cpu()
        got = job.run(["--ioengine=nbd", f"--uri={served.uri}"], part, self.rounds)
        return got["iops"], (served.cpu() - before) * 1e6 / max(got["count"], 1)

    def row(self, job):
        settle(self.folder / "base.img")
        rounds = []
        order = ["base", *KINDS]
        for part in range(self.rounds):
            rounds.append({kind: self.measure(job, kind, part) for kind in order})
            order = order[1:] + order[:1]
        cells = ""
        cpu = {}
        for kind in KINDS:
            ratio = statistics.median(one[kind][0] / one["base"][0] for one in rounds)
            cpu[kind] = statistics.median(one[kind][1] for one in rounds)
            cells += f"{ratio:>8.2f}"
            if kind != "memory":
                cells += f"{cpu[kind]:>8.1f}"
            if kind == "thin":
                cells += f"{job.aim:>6}"
        base = statistics.median(one["base"][0] for one in rounds)
        share = cpu["thin"] / cpu["qemu_raw"] if cpu["qemu_raw"] else 0
        print(f"{job.name:<32}{base:>9.0f}{cells}{share:>9.2f}", flush=True)


def fill(uri, size):
    Job("fill", "write", 8, size, block=1 << 20).run(["--ioengine=nbd", f"--uri={uri}"])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--folder", type=pathlib.Path, default=None)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    size = (128 if options.quick else 384) << 20
    seconds = 1 if options.quick else 2
    rounds = 1 if options.quick else 3
    # A socket's path is short.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="wt-", dir=options.folder or options.build))
    memory = pathlib.Path(tempfile.mkdtemp(prefix="wt-", dir="/dev/shm"))
    bench = None
    try:
        bench = Bench(options.build, folder.resolve(), memory, size, rounds)
        print(f"{'NBD export / raw io_uring':<32}{'raw IOPS':>9}{'thin':>8}{'CPU us':>8}{'aim':>6}"
              f"{'raw':>8}{'CPU us':>8}{'memory':>8}"
              + "".join(f"{kind:>8}{'CPU us':>8}" for kind in ("q-raw", "q-qcow2"))
              + f"{'/q-raw':>9}")
        for state, jobs in (
                ("mapped", (
                    Job("read 4K, mapped, depth 1", "randread", 1, size, seconds=seconds, aim="0.65"),
                    Job("read 4K, mapped, depth 32", "randread", 32, size, seconds=seconds, aim="0.9"),
                    Job("write 4K, mapped, depth 1", "randwrite", 1, size, seconds=seconds, aim="0.65"),
                    Job("write 4K, mapped, depth 32", "randwrite", 32, size, seconds=seconds,
                        aim="0.6"))),
                ("unmapped", (
                    Job("first write 4K, depth 32", "write", 32, size, stride=BLOCK, aim="0.5"),)),
                ("unmapped", (
                    Job("first write 64K, depth 32", "randwrite", 32, size, block=BLOCK),)),
                ("shared", (
                    Job("break sharing 4K, depth 32", "write", 32, size, stride=BLOCK),)),
                ("shared", (
                    Job("break sharing 64K, depth 32", "randwrite", 32, size, block=BLOCK,
                        aim="0.6"),)),
                ("mapped", (
                    Job("discard 64K, depth 32", "randtrim", 32, size, block=BLOCK, aim="1"),))):
            bench.prepare(state)
            for job in jobs:
                bench.row(job)
    finally:
        if bench is not None:
            bench.stop()
        for each in (folder, memory):
            shutil.rmtree(each, ignore_errors=True)


if __name__ == "__main__":
    main()
