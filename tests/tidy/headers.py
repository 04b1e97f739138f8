"""Checks that each header compiles by itself, and twice.

usage: headers.py BUILD [FOLDER ...]. Sources prove most of it: a header that one includes before
anything else stands alone where that source is compiled by itself, and so does what that header
includes first. The others are compiled, with the flags that BUILD/compile_commands.json has for a
source beside them, but without precompiled headers, through ccache. Guarded means `#pragma once` as
the first line of code. Prints the first error of each that fails; exit 1 if there is any.
"""

import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import tree


def commands_of(build):
    """folder -> the arguments that compile a source in it, without input and output."""
    found = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        words = shlex.split(entry["command"])
        kept, skip = [], False
        for word in words:
            if skip or word == "-c":
                skip = False
            elif word in ("-o", "-MF", "-MT", "-MQ", "-include"):   # cmake_pch.hxx
                skip = True
            elif word != entry["file"] and word not in ("-MD", "-MMD"):
                kept.append(word)
        found.setdefault(str(pathlib.Path(entry["file"]).parent), kept)
    return found


def command_for(header, root, commands):
    """The flags of the nearest folder upwards that has a source; else of any in the same tree."""
    folder = (root / header).parent
    while folder != root:
        if str(folder) in commands:
            return commands[str(folder)]
        folder = folder.parent
    top = str(root / header.split("/")[0])
    near = [c for f, c in sorted(commands.items()) if f.startswith(top)]
    return near[0] if near else next(iter(commands.values()))


def proven_by_build(root, sources):
    """Headers that some compilation of `sources` begins with, directly or through such a header."""
    proven = set()
    for path in sources:
        at = path
        while at is not None:
            first = next(tree.includes((root / at).read_text()), None)
            at = first[1] if first and (root / first[1]).is_file() else None
            if at in proven:
                break
            if at is not None:
                proven.add(at)
    return proven


def is_guarded(text):
    return tree.code_only(text).lstrip().startswith("#pragma once")


def compile_alone(header, root, build, commands):
    """The header's first error, or None."""
    unit = build / "headers" / (header.replace("/", "_") + ".cc")
    text = f'#include "{header}"\n'
    if not unit.exists() or unit.read_text() != text:
        unit.write_text(text)
    launcher = ["ccache"] if shutil.which("ccache") else []
    command = [*launcher, *command_for(header, root, commands), "-O0", "-g0", "-c", str(unit), "-o",
               str(unit.with_suffix(".o"))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=build)
    if done.returncode == 0:
        return None
    errors = [line for line in done.stderr.splitlines() if "error" in line]
    return f"{header}: does not compile alone: {errors[0] if errors else done.stderr.strip()}"


def sources_of(build):
    """What BUILD compiles, where sources are compiled together each of them."""
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = pathlib.Path(entry["file"])
        if path.parent.name != "Unity":
            yield path
        elif path.is_file():
            yield from map(pathlib.Path, re.findall(r'^#include "(.+)"$', path.read_text(), re.M))


def compiled_sources(root, build):
    """Sources of the tree that BUILD compiles, relative to it."""
    return [path.relative_to(root).as_posix() for path in sources_of(build)
            if path.is_relative_to(root) and path.is_file()]


def check(root, build, folders):
    commands = commands_of(build)
    (build / "headers").mkdir(exist_ok=True)
    headers = [p for p in tree.cxx_files(root, folders) if p.endswith(".h")]
    found = [f"{h}: does not begin with #pragma once" for h in headers
             if not is_guarded((root / h).read_text())]
    proven = proven_by_build(root, compiled_sources(root, build))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(compile_alone, h, root, build, commands)
                for h in headers if h not in proven]
        return len(headers), found + [error for error in (job.result() for job in jobs) if error]


def main(arguments):
    root = pathlib.Path(__file__).resolve().parents[2]
    build = pathlib.Path(arguments[0]).resolve()
    count, found = check(root, build, arguments[1:] or tree.FOLDERS)
    print("\n".join(found) if found else f"{count} headers compile alone")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
