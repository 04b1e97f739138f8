#!/usr/bin/env python3
"""Opening and checking a pool with many mappings, and a cache with many blocks: time and memory,
beside thin_check and cache_check."""

import argparse
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

CACHE_BLOCKS = 1_000_000
CACHE_BLOCK = 32768


def timed(words):
    """(seconds, MiB at most, exit status) of a program."""
    began = time.monotonic()
    process = subprocess.Popen([str(word) for word in words], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    return time.monotonic() - began, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status)


def make_pool_metadata(path, mappings):
    """Written by thin_restore: 8 thins; runs of 3 blocks, so that few entries can be merged."""
    thins = 8
    each = mappings // thins
    xml = path.with_suffix(".xml")
    with open(xml, "w", encoding="ascii") as file:
        file.write(f'<superblock uuid="" time="0" transaction="1" version="2" data_block_size="128" '
                   f'nr_data_blocks="{mappings + 1024}">\n')
        block = 0
        for thin in range(thins):
            file.write(f'<device dev_id="{thin}" mapped_blocks="{each}" transaction="0" '
                       'creation_time="0" snap_time="0">\n')
            for begin in range(0, each, 3):
                length = min(3, each - begin)
                file.write(f'<range_mapping origin_begin="{begin // 3 * 4}" data_begin="{block}" '
                           f'length="{length}" time="0"/>\n')
                block += length
            file.write("</device>\n")
        file.write("</superblock>\n")
    with open(path, "wb") as file:
        file.truncate(max(64 << 20, mappings * 40))
    subprocess.run(["thin_restore", "-i", xml, "-o", path], check=True, stdout=subprocess.DEVNULL)
    xml.unlink()


def make_cache_metadata(path, blocks):
    """Written by cache_restore: every place is in use, scattered over an origin of twice the size;
    every fourth block is dirty, and each has a hint."""
    xml = path.with_suffix(".xml")
    with open(xml, "w", encoding="ascii") as file:
        file.write(f'<superblock uuid="" block_size="{CACHE_BLOCK // 512}" '
                   f'nr_cache_blocks="{blocks}" policy="smq" hint_width="4"><mappings>\n')
        for place in range(blocks):
            dirty = "true" if place % 4 == 0 else "false"
            file.write(f'<mapping cache_block="{place}" origin_block="{place * 7919 % (2 * blocks)}" '
                       f'dirty="{dirty}"/>\n')
        file.write("</mappings><hints>\n")
        for place in range(blocks):
            file.write(f'<hint cache_block="{place}" data="AQAAAA=="/>\n')
        file.write("</hints></superblock>\n")
    with open(path, "wb") as file:
        file.truncate(max(16 << 20, blocks * 48))
    subprocess.run(["cache_restore", "-i", xml, "-o", path], check=True, stdout=subprocess.DEVNULL)
    xml.unlink()


def sparse(path, size):
    with open(path, "wb") as file:
        file.truncate(size)
    return path


def opened(build, folder, words):
    """Seconds until the server listens, and its memory then, in MiB."""
    sock = folder / "nbd.sock"
    began = time.monotonic()
    process = subprocess.Popen([str(word) for word in (build / "wavetankd", "serve", *words, "--listen",
                                                       f"unix:{sock}")], stderr=subprocess.PIPE)
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(sock))
            break
        except OSError:
            if process.poll() is not None:
                sys.exit(f"wavetankd: {process.stderr.read().decode()}")
            time.sleep(0.005)
    seconds = time.monotonic() - began
    process.send_signal(signal.SIGTERM)
    _, _, usage = os.wait4(process.pid, 0)
    return seconds, usage.ru_maxrss / 1024


def table(title, build, folder, meta, kind, serve):
    """`KIND_check`, our check and our server on one image. Leaks are not our concern: cache_restore
    leaves one."""
    print(f"{title:<34}{'seconds':>10}{'MiB':>10}{'ratio':>8}")
    base, memory, status = timed([f"{kind}_check", meta])
    print(f"{f'{kind}_check':<34}{base:>10.2f}{memory:>10.0f}{'':>8}" + (" failed" if status else ""))
    seconds, memory, status = timed([build / "wavetank", "check", kind, meta])
    print(f"{f'wavetank check {kind}':<34}{seconds:>10.2f}{memory:>10.0f}{seconds / base:>8.2f}"
          + (f" exit status {status}" if status > 1 else ""))
    seconds, memory = opened(build, folder, serve)
    print(f"{'wavetankd opens it and serves':<34}{seconds:>10.2f}{memory:>10.0f}{seconds / base:>8.2f}",
          flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--folder", type=pathlib.Path, default=None)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    mappings = 1_000_000 if options.quick else 10_000_000
    folder = pathlib.Path(tempfile.mkdtemp(prefix="wt-", dir=options.folder or options.build))
    folder = folder.resolve()
    try:
        meta = folder / "meta.img"
        make_pool_metadata(meta, mappings)
        data = sparse(folder / "data.img", (mappings + 1024) * 65536)
        table(f"{mappings // 1_000_000} million mappings", options.build, folder, meta, "thin",
              ["--metadata", meta, "--data", data, "--block-size", "64KiB", "--thin", "0:1GiB:vol"])
        make_cache_metadata(meta, CACHE_BLOCKS)
        fast = sparse(folder / "fast.img", CACHE_BLOCKS * CACHE_BLOCK)
        origin = sparse(folder / "origin.img", 2 * CACHE_BLOCKS * CACHE_BLOCK)
        table("a cache of 1 million blocks", options.build, folder, meta, "cache",
              ["--cache", f"vol:metadata={meta},fast={fast},origin={origin},block-size={CACHE_BLOCK}"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
