#!/usr/bin/env python3
"""The NBD export against qemu-storage-daemon, with the same fio jobs, as ratios to raw io_uring.

Every round runs fio on the plain file (io_uring, O_DIRECT) and then on each export; a row shows the
median ratio over the rounds and the server's own CPU time a request, from /proc.
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
    """One fio job over the first `size` bytes of a volume."""

    def __init__(self, name, rw, depth, size, prepare, block=4096, seconds=None, stride=0):
        self.name, self.rw, self.depth, self.size = name, rw, depth, size
        self.prepare, self.block, self.seconds, self.stride = prepare, block, seconds, stride

    def arguments(self):
        words = ["fio", "--name=job", "--output-format=json", f"--rw={self.rw}", f"--bs={self.block}",
                 f"--iodepth={self.depth}", f"--size={self.size}", "--randrepeat=1", "--thread"]
        if self.seconds:
            words += ["--time_based", f"--runtime={self.seconds}"]
        if self.stride:   # every stride-th place once: one request for each block of the pool
            words += ["--zonemode=strided", f"--zonesize={self.block}", f"--zonerange={self.stride}",
                      f"--io_size={self.size // self.stride * self.block}"]
        return words

    def run(self, target):
        done = subprocess.run([*self.arguments(), *target], capture_output=True, text=True,
                              timeout=600)
        if done.returncode != 0:
            sys.exit(f"{' '.join(done.args)}: {done.stderr or done.stdout}")
        start = done.stdout.index("{")
        job = json.loads(done.stdout[start:])["jobs"][0]
        side = job["read" if "read" in self.rw else "trim" if "trim" in self.rw else "write"]
        return {"iops": side["iops"], "count": side["total_ios"],
                "p99": side["clat_ns"].get("percentile", {}).get("99.000000", 0) / 1000}


class Served:
    """A server process with an export; `cpu()` is its time in user and kernel, in seconds."""

    def __init__(self, folder, words, export, file):
        self.file = file   # the one that holds the data
        self.sock = folder / "nbd.sock"
        self.sock.unlink(missing_ok=True)
        self.log = open(folder / "server.log", "wb")
        self.process = subprocess.Popen([str(word) for word in words], stdout=self.log,
                                        stderr=subprocess.STDOUT)
        self.uri = f"nbd+unix:///{export}?socket={self.sock}"
        for _ in range(1000):
            try:
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(str(self.sock))
                return
            except OSError:
                if self.process.poll() is not None:
                    sys.exit(f"{words[0]} ended: {(folder / 'server.log').read_text()}")
                time.sleep(0.02)
        sys.exit(f"{words[0]} does not listen")

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.log.close()


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


class Bench:
    def __init__(self, build, folder, size):
        self.build, self.folder, self.size = build, folder, size

    def thin(self, job):
        meta, data = self.folder / "meta.img", self.folder / "data.img"
        for path in (meta, data):
            path.unlink(missing_ok=True)
        with open(meta, "wb") as file:
            file.truncate(64 << 20)
        write_through(data, 2 * self.size + (64 << 20))
        served = self.serve_thin()
        if job.prepare != "unmapped":
            fill(served.uri, self.size)
        if job.prepare == "shared":
            served.stop()
            served = self.serve_thin("--message", "create_snap 1 0")
        return served

    def serve_thin(self, *more):
        return Served(self.folder, [self.build / "wavetankd", "serve", "--metadata",
                                    self.folder / "meta.img", "--data", self.folder / "data.img",
                                    "--block-size", "64KiB", "--thin", f"0:{self.size}:vol",
                                    "--listen", f"unix:{self.folder / 'nbd.sock'}", *more], "vol",
                      self.folder / "data.img")

    def raw(self, _job):
        write_through(self.folder / "plain.img", self.size)
        return Served(self.folder, [self.build / "wavetankd", "serve", "--raw",
                                    f"vol={self.folder / 'plain.img'}", "--listen",
                                    f"unix:{self.folder / 'nbd.sock'}"], "vol",
                      self.folder / "plain.img")

    def qemu_raw(self, _job):
        write_through(self.folder / "qemu.img", self.size)
        return self.qemu(self.folder / "qemu.img", "raw")

    def qemu_qcow2(self, job):
        image = self.folder / "qemu.qcow2"
        image.unlink(missing_ok=True)
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=64k", image,
                        str(self.size)], check=True)
        if job.prepare != "unmapped":
            served = self.qemu(image, "qcow2")
            fill(served.uri, self.size)
            served.stop()
        if job.prepare == "shared":
            subprocess.run(["qemu-img", "snapshot", "-c", "s", image], check=True)
        return self.qemu(image, "qcow2")

    def qemu(self, image, kind):
        return Served(self.folder, [
            "qemu-storage-daemon", "--blockdev",
            f"driver=file,node-name=f,filename={image},aio=io_uring,cache.direct=on,discard=unmap",
            "--blockdev", f"driver={kind},node-name=d,file=f,discard=unmap", "--nbd-server",
            f"addr.type=unix,addr.path={self.folder / 'nbd.sock'}", "--export",
            "type=nbd,id=e,node-name=d,name=vol,writable=on"], "vol", image)

    def row(self, job, kinds, rounds):
        ratios = {kind: [] for kind in kinds}
        cpu = {kind: [] for kind in kinds}
        raw_iops = []
        for _ in range(rounds):
            plain = self.folder / "base.img"
            write_through(plain, self.size)
            settle(plain)
            # fio's io_uring engine does not trim files; hole punching takes turns in any case.
            engine = "falloc" if "trim" in job.rw else "io_uring"
            base = job.run([f"--filename={plain}", f"--ioengine={engine}", "--direct=1"])
            raw_iops.append(base["iops"])
            plain.unlink()
            for kind in kinds:
                served = getattr(self, kind)(job)
                settle(served.file)
                before = served.cpu()
                got = job.run(["--ioengine=nbd", f"--uri={served.uri}"])
                cpu[kind].append((served.cpu() - before) * 1e6 / max(got["count"], 1))
                ratios[kind].append(got["iops"] / base["iops"])
                served.stop()
        cells = "".join(f"{statistics.median(ratios[kind]):>8.2f}{statistics.median(cpu[kind]):>8.1f}"
                        for kind in kinds)
        print(f"{job.name:<34}{statistics.median(raw_iops):>10.0f}{cells}", flush=True)


def fill(uri, size):
    Job("fill", "write", 8, size, "", block=1 << 20).run(["--ioengine=nbd", f"--uri={uri}"])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--folder", type=pathlib.Path, default=None)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    size = (128 if options.quick else 512) << 20
    seconds = 1 if options.quick else 4
    rounds = 1 if options.quick else 3
    kinds = ["thin", "raw", "qemu_raw", "qemu_qcow2"]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="wt-bench-", dir=options.folder or options.build))
    try:
        bench = Bench(options.build, folder.resolve(), size)
        # A socket's path is short.
        print(f"{'NBD export / raw io_uring':<34}{'raw IOPS':>10}"
              + "".join(f"{kind:>10}{'CPU us':>6}" for kind in kinds))
        for job in (
                Job("read 4K, mapped, depth 1", "randread", 1, size, "mapped", seconds=seconds),
                Job("read 4K, mapped, depth 32", "randread", 32, size, "mapped", seconds=seconds),
                Job("write 4K, mapped, depth 1", "randwrite", 1, size, "mapped", seconds=seconds),
                Job("write 4K, mapped, depth 32", "randwrite", 32, size, "mapped", seconds=seconds),
                Job("first write 4K, depth 32", "write", 32, size, "unmapped", stride=BLOCK),
                Job("first write 64K, depth 32", "randwrite", 32, size, "unmapped", block=BLOCK),
                Job("break sharing 4K, depth 32", "write", 32, size, "shared", stride=BLOCK),
                Job("break sharing 64K, depth 32", "randwrite", 32, size, "shared", block=BLOCK),
                Job("discard 64K, depth 32", "randtrim", 32, size, "mapped", block=BLOCK)):
            bench.row(job, kinds, rounds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
