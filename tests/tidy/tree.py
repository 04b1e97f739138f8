"""Reading the source tree: which files there are, and C++ text without comments and strings."""

import pathlib
import re

FOLDERS = ("engine", "sim", "real-io", "traces", "checkers", "scenarios", "tests")


def cxx_files(root, folders=FOLDERS):
    """Paths of C++ sources relative to `root`, in a fixed order."""
    root = pathlib.Path(root)
    found = []
    for folder in folders:
        for path in (root / folder).rglob("*"):
            if path.suffix in (".cc", ".h") and path.is_file():
                found.append(path.relative_to(root).as_posix())
    return sorted(found)


_TOKENS = re.compile(
    r'//[^\n]*|/\*.*?\*/'                       # comments
    r'|R"([^()\\ ]{0,16})\(.*?\)\1"'            # raw strings
    r'|"(?:[^"\\\n]|\\.)*"'                     # strings
    r"|(?<![0-9A-Fa-f])'(?:[^'\\\n]|\\.)+'",    # characters, not digit separators
    re.DOTALL)


def code_only(text):
    """The text with comments and literals blanked; line numbers stay."""
    def blank(match):
        inside = match.group(0)
        if inside.startswith('"') and _is_include(match):
            return inside
        return re.sub(r"[^\n]", " ", inside)
    return _TOKENS.sub(blank, text)


def _is_include(match):
    line_start = match.string.rfind("\n", 0, match.start()) + 1
    return re.match(r"\s*#\s*include\s*$", match.string[line_start:match.start()]) is not None


_INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)


def includes(text):
    """(line number, path, is quoted) of each #include."""
    code = code_only(text)
    for match in _INCLUDE.finditer(code):
        line = code.count("\n", 0, match.start() + match.group(0).index("#")) + 1
        yield line, match.group(1) or match.group(2), match.group(1) is not None
