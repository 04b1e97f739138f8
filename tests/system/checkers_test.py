#!/usr/bin/env python3
"""Each checker has a mutant that it catches by itself and that nobody else does.

For each pair the mutant is searched twice: listening to that checker alone, which must find it, and to
all the others, who must not. With --short only the first pairs, which take seconds.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

from mutants_test import BUILD, PATCHES, built

# Two that see the same thing are silenced together: a wait for ever, and that nothing but timers goes
# on meanwhile; what is in use at rest, and what still is at the end.
PAIRS = (
    (("atomic-context",), "S5", 500),
    (("lock-order",), "B043", 600),
    (("stale_bytes",), "C-stale-bytes", 2000),
    (("thin_image",), "B065", 1500),
    (("deadlock",), "003-e", 800),
    (("deadlock", "endless"), "C-lost-wakeup", 500),
    (("endless",), "C-endless", 500),
    (("lab",), "B047", 1500),
    (("leaks", "lifetime"), "C-leaks", 1500),
    (("lifetime",), "004-a", 1500),
    (("crash",), "B025", 1500),
    (("assertion",), "C-assertion", 1500),
    (("pool_mode",), "B013", 1500),
    (("lower_device",), "B008", 1500),
    (("cache_image",), "B103", 1500),
    (("cache_policy",), "R5", 1500),
    (("cache_state",), "R2", 1500),
    (("data_oracle",), "C-data-oracle", 6000),
)
SHORT = 3
# They speak while it is done: their stories say where in the engine.
AT_ONCE = ("atomic-context", "stale_bytes", "lower_device")


def finding(program, option, checkers, schedules, scratch):
    names = [word for name in checkers for word in (option, name)]
    done = subprocess.run(
        [str(program), "search", "--schedules", str(schedules), "--shrink-time", "0", "--json",
         "--quiet", "--jobs", "2", "--out", scratch, *names],
        capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"search: exit {done.returncode}: {done.stderr.strip()[-200:]}")
    findings = json.loads(done.stdout)["findings"]
    return findings[0] if findings else None


def says_where(found):
    story = (pathlib.Path(found["folder"]) / "story.txt").read_text()
    return " at engine::" in story[story.index("\nFound\n"):story.index("\nRun\n")]


def listed():
    done = subprocess.run([str(BUILD / "wavetank"), "list", "checkers"], capture_output=True,
                          text=True, check=True)
    return {line.split()[0] for line in done.stdout.splitlines()}


def main():
    if not (BUILD / "wavetank").is_file():
        print(f"skipped: {BUILD} has no wavetank")
        return 0
    unproved = listed() - {name for checkers, _, _ in PAIRS for name in checkers}
    assert not unproved, f"checkers without a mutant of their own: {unproved}"
    failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        for checkers, mutant, schedules in PAIRS[:SHORT if "--short" in sys.argv else len(PAIRS)]:
            program = built(next(PATCHES.glob(f"{mutant}-*.patch")))
            own = finding(program, "--only-checker", checkers, schedules, scratch)
            other = finding(program, "--without-checker", checkers, schedules, scratch)
            good = own is not None and other is None
            if own and checkers[0] in AT_ONCE and not says_where(own):
                print(f"{own['signature']}: its story does not say where")
                good = False
            failed += not good
            print(f"{'/'.join(checkers):16} {mutant:16} {'ok' if good else 'FAIL':5}"
                  f" by itself: {own['schedule'] if own else 'no'};"
                  f" others: {other['signature'] if other else 'no'}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
