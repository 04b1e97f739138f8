#!/usr/bin/env python3
"""Every mutant applies, and those that are quick to find are built and found.

A mutant is searched for by its aimed scenario. The test fails when a patch does not apply or build,
or when a QUICK one is not found. Others are searched as far as the time goes; where that does not do
they are shown as "slow" with what docs/mutants.md says a longer search took, or as "open" where no
search has found them yet.
"""
import functools
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("WAVETANK_BUILD", SOURCE / "build" / "release"))
PATCHES = SOURCE / "scenarios" / "mutants"
SCHEDULES = 20000
SECONDS = 15   # of search, for one mutant
BUDGET = 60    # of this test, but that the QUICK are always searched; the rest is for `wavetank` when asked
QUICK = ("S1", "S2", "S5", "002-c", "004-a", "004-e", "B002", "B008", "B012", "B013", "B014", "B015",
         "B016", "B027", "C-ended-twice")


# The fewest schedules that docs/mutants.md knows to find each mutant.
@functools.cache
def known():
    fewest = {}
    for line in (SOURCE / "docs" / "mutants.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("| ") or len(cells) < 5:
            continue
        counts = [int(cell.replace(",", "")) for cell in cells[3:]
                  if re.fullmatch(r"[\d,]+", cell)]
        if counts:
            fewest[cells[0]] = min(counts)
    return fewest


def header(patch):
    found = {}
    key = None
    for line in patch.read_text(encoding="utf-8").splitlines():
        if line.startswith(("--- ", "diff ")):
            break
        if line[:1].isspace() and key:
            found[key] += " " + line.strip()
        elif ":" in line:
            key, value = line.split(":", 1)
            found[key] = value.strip()
    return found


def well_formed(patch, fields):
    missing = [key for key in ("Id", "Title", "Undoes", "Consequence", "Noticed-by", "Scenario")
               if not fields.get(key)]
    if missing:
        return "header lacks " + ", ".join(missing)
    if not patch.name.startswith(fields["Id"]):
        return f"file name does not begin with its id {fields['Id']}"
    with tempfile.TemporaryDirectory() as scratch:
        names = set(re.findall(r"^\+\+\+ b/(\S+)", patch.read_text(encoding="utf-8"), re.M))
        for name in names:
            copy = pathlib.Path(scratch) / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes((SOURCE / name).read_bytes())
        done = subprocess.run(["patch", "-p1", "--batch", "-r", "-", "-i", str(patch)],
                              cwd=scratch, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else "does not apply: " + " ".join(done.stdout.split())


def built(patch):
    out = BUILD / "mutants" / patch.stem
    program = out / "wavetank"
    newest = max(patch.stat().st_mtime, (BUILD / "wavetank").stat().st_mtime)
    if program.is_file() and program.stat().st_mtime >= newest:
        return program
    done = subprocess.run(
        [sys.executable, str(PATCHES / "build.py"), "--build", str(BUILD), "--patch", str(patch),
         "--out", str(out)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    return program


def search(program, scenario, scratch):
    done = subprocess.run(
        [str(program), "search", "--scenario", scenario, "--schedules", str(SCHEDULES), "--time",
         str(SECONDS), "--shrink-time", "0", "--json", "--quiet", "--jobs", "2", "--out", scratch],
        capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"search: exit {done.returncode}: {done.stderr.strip()[-200:]}")
    return json.loads(done.stdout)


# Those that must be found come first, while there is time; then what takes least.
def in_order(patch):
    return (not patch.stem.startswith(QUICK), known().get(header(patch)["Id"], SCHEDULES), patch.stem)


def judge(patch, fields, scratch, until):
    wrong = well_formed(patch, fields)
    if wrong:
        return "FAIL", wrong
    if fields["Id"] not in QUICK and time.monotonic() > until:
        return "applies", "no time left to search for it here"
    try:
        report = search(built(patch), fields["Scenario"], scratch)
    except RuntimeError as error:
        return "FAIL", str(error)
    if report["findings"]:
        first = report["findings"][0]
        return "found", f"{first['schedule']:>6} schedules  {first['signature']}"
    why = f"not in {report['schedules']} schedules"
    if fields["Id"] in QUICK:
        return "FAIL", why
    longer = known().get(fields["Id"])
    if longer is None:
        return "open", why
    return "slow", f"{why}; {longer} do (docs/mutants.md)"


def main():
    if not (BUILD / "wavetank").is_file():
        print(f"skipped: {BUILD} has no wavetank")
        return 0
    until = time.monotonic() + BUDGET
    failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        for patch in sorted(PATCHES.glob("*.patch"), key=in_order):
            fields = header(patch)
            verdict, text = judge(patch, fields, scratch, until)
            failed += verdict == "FAIL"
            print(f"{patch.stem:36} {fields.get('Scenario', '-'):22} {verdict:8} {text}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
