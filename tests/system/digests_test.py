#!/usr/bin/env python3
"""The same seed takes the same decisions everywhere: whole searches, by their digests.

digests.txt has a line per search: what is searched, strategy, seed, schedules, digest. What is
searched is a scenario, a workload, or a library program (`program:NAME`); with the strategy
`explore` all of it is run, and the seed is the bound on preemptions (`-`: none). Every preset
runs them (those of up to WAVETANK_DIGESTS_MAX schedules, where that is set), so that a build type,
a sanitizer or a compiler that decides otherwise is found out. A deliberate change of engine, tank or
scenarios changes digests; then, with a build at hand:

    tests/system/digests_test.py --write [BUILD]
"""
import json
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


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def exploration_of(build, workload, preemptions):
    """All its counts."""
    with tempfile.TemporaryDirectory() as out:
        said = run([build / "wavetank", "explore", "--workload", SOURCE / workload, "--preemptions",
                    preemptions, "--jobs", "1", "--json", "--out", out])
    try:
        report = json.loads(said)
    except json.JSONDecodeError:
        print(said, file=sys.stderr)
        return None
    counts = [report[name] for name in ("ended", "executions", "cut_short", "points", "states")]
    return "-".join(map(str, counts))


def digest_of(build, subject, strategy, seed, schedules):
    """None: the search printed no digest."""
    if subject.startswith("program:"):
        program = subject.removeprefix("program:")
        return found_in(run([build / "tests/digests_of_programs", program, strategy, seed, schedules]))
    if strategy == "explore":
        return exploration_of(build, subject, seed)
    what = (["--workload", str(SOURCE / subject)] if subject.endswith(".toml")
            else ["--scenario", subject])
    with tempfile.TemporaryDirectory() as out:
        return found_in(run(
            [build / "wavetank", "search", *what, "--strategy", strategy, "--seed", seed,
             "--schedules", schedules, "--jobs", "1", "--quiet", "--shrink-time", "0", "--out", out]))


def found_in(said):
    found = re.search(r"^digest: ([0-9a-f]+)$", said, re.MULTILINE)
    if found is None:
        print(said, file=sys.stderr)
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
