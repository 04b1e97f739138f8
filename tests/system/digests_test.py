#!/usr/bin/env python3
"""The same seed takes the same decisions everywhere: whole searches, by their digests.

digests.txt has a line per search: what is searched, strategy, seed, schedules, digest. Every preset
runs them (those of up to WAVETANK_DIGESTS_MAX schedules, where that is set), so that a build type,
a sanitizer or a compiler that decides otherwise is found out. A deliberate change of engine, tank or
scenarios changes digests; then, with a build at hand:

    tests/system/digests_test.py --write [BUILD]
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[2]
TABLE = pathlib.Path(__file__).resolve().with_name("digests.txt")
HEAD = """# What is searched, strategy, seed, schedules, digest. Made by tests/system/digests_test.py --write
# after a deliberate change of what the tank does; a build that gives others is not deterministic.
"""


def searches():
    """(subject, strategy, seed, schedules, digest) of each line."""
    for line in TABLE.read_text().splitlines():
        if line and not line.startswith("#"):
            yield line.split()


def digest_of(build, subject, strategy, seed, schedules):
    """None: the search printed no digest."""
    what = (["--workload", str(SOURCE / subject)] if subject.endswith(".toml")
            else ["--scenario", subject])
    with tempfile.TemporaryDirectory() as out:
        done = subprocess.run(
            [build / "wavetank", "search", *what, "--strategy", strategy, "--seed", seed,
             "--schedules", schedules, "--jobs", "1", "--quiet", "--shrink-time", "0", "--out", out],
            capture_output=True, text=True, check=False)
    found = re.search(r"^digest: ([0-9a-f]+)$", done.stdout + done.stderr, re.MULTILINE)
    if found is None:
        print(done.stdout + done.stderr, file=sys.stderr)
    return found and found.group(1)


def main(arguments):
    write = arguments[:1] == ["--write"]
    rest = arguments[1:] if write else arguments
    build = pathlib.Path(rest[0] if rest
                         else os.environ.get("WAVETANK_BUILD", SOURCE / "build" / "release"))
    most = int(os.environ.get("WAVETANK_DIGESTS_MAX", "100000"))
    lines, bad = [], 0
    for subject, strategy, seed, schedules, expected in searches():
        if int(schedules) > most and not write:
            continue
        digest = digest_of(build, subject, strategy, seed, schedules)
        if digest is None:
            return 1
        lines.append(f"{subject} {strategy} {seed} {schedules} {digest}")
        if digest != expected and not write:
            bad += 1
            print(f"{lines[-1]}, expected {expected}")
    if write:
        TABLE.write_text(HEAD + "\n".join(lines) + "\n")
    elif bad == 0:
        print(f"{len(lines)} searches decide as ever")
    else:
        print("on purpose? then: tests/system/digests_test.py --write")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
