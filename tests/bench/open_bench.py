#!/usr/bin/env python3
"""Opening and checking a pool with many mappings: time and memory, beside thin_check."""

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


def timed(words):
    """(seconds, MiB at most, exit status) of a program."""
    began = time.monotonic()
    process = subprocess.Popen([str(word) for word in words], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    return time.monotonic() - began, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status)


def make_metadata(path, mappings):
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


def opened(build, folder, meta, mappings):
    """Seconds until the server listens, and its memory then, in MiB."""
    data = folder / "data.img"
    with open(data, "wb") as file:
        file.truncate((mappings + 1024) * 65536)
    sock = folder / "nbd.sock"
    began = time.monotonic()
    process = subprocess.Popen([build / "wavetankd", "serve", "--metadata", meta, "--data", data,
                                "--block-size", "64KiB", "--thin", "0:1GiB:vol", "--listen",
                                f"unix:{sock}"], stderr=subprocess.PIPE)
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
        make_metadata(meta, mappings)
        print(f"{f'{mappings // 1_000_000} million mappings':<34}{'seconds':>10}{'MiB':>10}{'ratio':>8}")
        base, memory, status = timed(["thin_check", meta])
        print(f"{'thin_check':<34}{base:>10.2f}{memory:>10.0f}{'':>8}" + (" failed" if status else ""))
        seconds, memory, status = timed([options.build / "wavetank", "check", "thin", meta])
        print(f"{'wavetank check thin':<34}{seconds:>10.2f}{memory:>10.0f}{seconds / base:>8.2f}"
              + (f" exit status {status}" if status else ""))
        seconds, memory = opened(options.build, folder, meta, mappings)
        print(f"{'wavetankd opens it and serves':<34}{seconds:>10.2f}{memory:>10.0f}{seconds / base:>8.2f}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
