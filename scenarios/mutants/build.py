#!/usr/bin/env python3
"""Builds the tank against a mutated copy of the engine.

A mutant is a patch to engine/ that puts one historical bug back. It is applied to copies of the
files it touches; those, and whatever includes a touched header, are compiled with the very command
of the build folder, and linked with the objects of everything else. Production sources never carry
a bug, and a mutant costs a few compilations, not a build.

  build.py --build build/release --patch scenarios/mutants/S3-passdown-race.patch --out DIR

leaves DIR/wavetank. Nothing is written outside DIR. Exit 2 with one line when the patch does not
apply, touches anything but engine/, or does not compile.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

# Objects of these build targets make up the program.
PARTS = re.compile(r"CMakeFiles/(engine_\w+_objects|wavetank_(traces|sim|checkers|scenarios)"
                   r"|wavetank)\.dir/")


class MutantError(Exception):
    """One line for the user."""


def touched_files(patch_text, patch):
    names = set()
    for line in patch_text.splitlines():
        match = re.match(r"(?:\+\+\+|---) (\S+)", line)
        if not match or match.group(1) == "/dev/null":
            continue
        name = re.sub(r"^[ab]/", "", match.group(1))
        if not name.startswith("engine/") or ".." in name.split("/"):
            raise MutantError(f"{patch}: touches {name}; a mutant may touch engine/ alone")
        names.add(name)
    if not names:
        raise MutantError(f"{patch}: holds no change")
    return sorted(names)


def apply_patch(source, patch, names, overlay):
    shutil.rmtree(overlay, ignore_errors=True)
    for name in names:
        target = overlay / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (source / name).exists():
            shutil.copyfile(source / name, target)
    done = subprocess.run(
        ["patch", "-p1", "--batch", "--no-backup-if-mismatch", "-r", "-", "-i", str(patch)],
        cwd=overlay, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise MutantError(f"{patch} does not apply: {' '.join(done.stdout.split())}")


def dependants(build, headers):
    """Object files whose recorded dependencies name one of the headers."""
    if not headers:
        return set()
    listing = subprocess.run(["ninja", "-C", str(build), "-t", "deps"], capture_output=True,
                             text=True, check=True).stdout
    found = set()
    current = None
    for line in listing.splitlines():
        if line and not line[0].isspace():
            current = line.split(":")[0]
        elif any(line.strip().endswith("/" + header) for header in headers):
            found.add(current)
    return found


def sources_of(file):
    """What is compiled with `file`: itself, or what a build that compiles sources together has in it."""
    if pathlib.Path(file).parent.name != "Unity":
        return [file]
    return re.findall(r'^#include "(.+)"$', pathlib.Path(file).read_text(), re.MULTILINE)


def compilations(database):
    """What makes up the program, each with its object file as "output" and its "sources"."""
    entries = json.loads(database.read_text())
    for entry in entries:
        words = shlex.split(entry["command"])
        entry["output"] = words[words.index("-o") + 1]
    entries = [entry for entry in entries if PARTS.match(entry["output"])]
    for entry in entries:
        entry["sources"] = sources_of(entry["file"])
    return entries


def patched(entry, source, overlay, names, near):
    """The file to compile in the place of the entry's; `near` is where one may be written."""
    own = {file: overlay / os.path.relpath(file, source) for file in entry["sources"]
           if os.path.relpath(file, source) in names}
    if not own or entry["file"] in own:
        return own.get(entry["file"], entry["file"])
    together = near.with_suffix(".cxx")
    together.write_text("".join(f'#include "{own.get(file, file)}"\n' for file in entry["sources"]))
    return together


def compile_one(entry, source, overlay, names, objects):
    relative = next((name for name in (os.path.relpath(file, source) for file in entry["sources"])
                     if name in names), os.path.relpath(entry["file"], source))
    output = objects / entry["output"]
    output.parent.mkdir(parents=True, exist_ok=True)
    made = []
    words = iter(shlex.split(entry["command"]))
    for word in words:
        if word in ("-o", "-MF", "-MT"):
            next(words)
        elif word == entry["file"]:
            made.append(str(patched(entry, source, overlay, names, output)))
        elif word not in ("-MD", "-MMD"):
            made.append(word)
    at = next(i for i, word in enumerate(made) if word.startswith(("-I", "-isystem", "-c")))
    made[at:at] = [f"-I{overlay}"]
    # The last mapping that fits wins: source locations are those of the tree, also where a compiler
    # cache has made the path relative.
    near = os.path.relpath(overlay, entry["directory"])
    made += [f"-ffile-prefix-map={overlay}/=", f"-ffile-prefix-map={near}/=", "-o", str(output)]
    done = subprocess.run(made, cwd=entry["directory"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "error" in line]
        raise MutantError(f"{relative} does not compile: "
                          f"{lines[0] if lines else done.stderr.strip()[-300:]}")
    return entry["output"], str(output)


def link(build, objects, out):
    commands = subprocess.run(["ninja", "-C", str(build), "-t", "commands", "wavetank"],
                              capture_output=True, text=True, check=True).stdout.splitlines()
    line = next((line for line in reversed(commands) if " -o wavetank " in line), None)
    if line is None:
        raise MutantError(f"{build} does not say how wavetank is linked")
    words = shlex.split(line)
    if words[0] == ":":
        words = words[words.index("&&") + 1:]
    if "&&" in words:
        words = words[:words.index("&&")]
    kept = [word for word in words
            if not re.search(r"(^|/)libwavetank_\w+\.a$", word) and not PARTS.search(word)]
    at = kept.index("-o")
    kept[at + 1] = str(out / "wavetank.new")
    kept[at:at] = objects
    done = subprocess.run(kept, cwd=build, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise MutantError(f"does not link: {done.stderr.strip()[-400:]}")
    os.replace(out / "wavetank.new", out / "wavetank")


def build_mutant(build, patch, out, jobs):
    source = pathlib.Path(__file__).resolve().parents[2]
    if not patch.is_file():
        raise MutantError(f"{patch}: no such file")
    database = build / "compile_commands.json"
    if not database.is_file():
        raise MutantError(f"{build} is no build folder: it has no compile_commands.json")
    try:
        text = patch.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise MutantError(f"{patch}: is no text") from error
    names = touched_files(text, patch)
    overlay, objects = out / "src", out / "obj"
    apply_patch(source, patch, names, overlay)
    entries = compilations(database)
    stale = dependants(build, [name for name in names if name.endswith(".h")])
    changed = [entry for entry in entries
               if any(os.path.relpath(file, source) in names for file in entry["sources"])
               or entry["output"] in stale]
    if not changed:
        raise MutantError(f"{patch}: touches nothing that is compiled")
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        replaced = dict(pool.map(
            lambda entry: compile_one(entry, source, overlay, names, objects), changed))
    link(build, [replaced.get(entry["output"], entry["output"]) for entry in entries], out)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True, type=pathlib.Path)
    parser.add_argument("--patch", required=True, type=pathlib.Path)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    args = parser.parse_args()
    try:
        build_mutant(args.build.resolve(), args.patch.resolve(), args.out.resolve(), args.jobs)
    except MutantError as error:
        print(f"mutant: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
