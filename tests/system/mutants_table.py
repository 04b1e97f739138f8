#!/usr/bin/env python3
"""Measures how soon the mutants are found, and writes the table of docs/mutants.md.

One search with seed 1 and the default strategy for each mutant over the general scenarios, which take
turns, and one with its aimed scenario if it has one. What a search did not find within the budget is
"not in N". Rows of mutants that are not named stay as they are.

  tests/system/mutants_table.py                               # all: hours
  tests/system/mutants_table.py S3 002-h                      # those
  tests/system/mutants_table.py --schedules 20000 --time 30   # a smaller budget
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("WAVETANK_BUILD", SOURCE / "build" / "release"))
DOCUMENT = SOURCE / "docs" / "mutants.md"
HEAD = ("| id | defect | noticed by | aimed: schedules | general: schedules |",
        "|---|---|---|---|---|")


def wavetank(*arguments):
    done = subprocess.run([str(BUILD / "wavetank"), *arguments], capture_output=True, text=True,
                          check=False)
    if done.returncode not in (0, 1):   # 1: something was found
        sys.exit(f"wavetank {' '.join(arguments)}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def schedules(mutant, scenario, options):
    where = ("--scenario", scenario) if scenario else ()
    report = wavetank("search", "--mutant", mutant["id"], *where, "--seed", "1", "--schedules",
                      str(options.schedules), "--time", str(options.time), "--jobs",
                      str(options.jobs), "--no-folder", "--json", "--quiet")
    if report["findings"]:
        return f"{report['findings'][0]['schedule'] + 1:,}"
    return f"not in {report['schedules']:,}"


def row(mutant, options):
    aimed = ""
    if "general" not in mutant["scenario"]:
        aimed = schedules(mutant, mutant["scenario"], options)
    cells = (mutant["id"], mutant["title"], mutant["noticed_by"], aimed,
             schedules(mutant, None, options))
    return "| " + " | ".join(cells) + " |"


def id_of(line):
    return line.split("|")[1].strip()


# As it comes, so that what was measured is not lost.
def put(made, known):
    text = DOCUMENT.read_text(encoding="utf-8")
    before, table = text.split("\n".join(HEAD) + "\n")
    rows = {id_of(line): line for line in [*table.splitlines(), made]}
    lines = (*HEAD, *(rows[each] for each in sorted(rows) if each in known))
    DOCUMENT.write_text(before + "\n".join(lines) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mutants", nargs="*", metavar="ID", help="all without")
    parser.add_argument("--schedules", type=int, default=100_000)
    parser.add_argument("--time", type=int, default=600, help="seconds of one search")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    known = {each["id"]: each for each in wavetank("list", "mutants", "--json")}
    wrong = [each for each in options.mutants if each not in known]
    if wrong:
        sys.exit(f"no such mutant: {', '.join(wrong)}")
    for name in options.mutants or sorted(known):
        made = row(known[name], options)
        print(made, flush=True)
        put(made, known)
    return 0


if __name__ == "__main__":
    sys.exit(main())
