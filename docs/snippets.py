#!/usr/bin/env python3
"""Keeps the code in README.md and docs/ equal to code that is compiled.

    docs/snippets.py --check    names every block that differs from its source; exit status 1 if there is one
    docs/snippets.py --write    rewrites these blocks

A page names the source of a fenced block in the line before it, and the source marks the part:

    <!-- snippet: examples/quickstart.cpp#quickstart -->    // snippet: quickstart
    ```cpp                                                  ...
    ...                                                     // end snippet
    ```

Without #name the block is the whole file. Marks in CMake files and scripts start with # instead of //.
"""

import argparse
import pathlib
import re
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent
BLOCK = re.compile(
    r"^<!-- snippet: (?P<path>[^#\s]+)(?:#(?P<name>[\w-]+))? -->\n(?P<open>```\w*\n)(?P<code>.*?)(?P<close>^```$)",
    re.MULTILINE | re.DOTALL)
MARK = re.compile(r"^\s*(?://|#) (?:snippet: (?P<name>[\w-]+)|(?P<end>end snippet))\s*$")


class SnippetError(Exception):
    """A page asks for something that its source does not hold."""


def pages(root=ROOT):
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def snippet(path, name):
    """The marked lines of a file without their common indentation; the whole file when name is None."""
    if not path.is_file():
        raise SnippetError(f"{path} does not exist")
    lines = path.read_text(encoding="utf-8").splitlines()
    if name is None:
        return "\n".join(line for line in lines if not MARK.match(line)) + "\n"
    found, open_name, kept = None, None, []
    for line in lines:
        mark = MARK.match(line)
        if mark and mark["name"]:
            if open_name:
                raise SnippetError(f"{path}: snippet {mark['name']} starts inside {open_name}")
            open_name = mark["name"]
            if open_name == name and found is not None:
                raise SnippetError(f"{path}: two snippets are called {name}")
            kept = []
        elif mark:
            if not open_name:
                raise SnippetError(f"{path}: an end without a snippet")
            if open_name == name:
                found = kept
            open_name, kept = None, []
        else:
            kept.append(line)
    if open_name:
        raise SnippetError(f"{path}: snippet {open_name} does not end")
    if found is None:
        raise SnippetError(f"{path} has no snippet {name}")
    return textwrap.dedent("\n".join(found)).strip("\n") + "\n"


def updated(text, root=ROOT):
    """The text of a page with every block taken from its source."""
    return BLOCK.sub(lambda b: b[0].replace(b["open"] + b["code"], b["open"] + snippet(root / b["path"], b["name"])),
                     text)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--check", action="store_true")
    mode.add_argument("--write", action="store_true")
    options = parser.parse_args(arguments)
    stale = 0
    for page in pages():
        text = page.read_text(encoding="utf-8")
        try:
            fresh = updated(text)
        except SnippetError as error:
            print(f"{page.relative_to(ROOT)}: {error}", file=sys.stderr)
            stale += 1
            continue
        if fresh == text:
            continue
        if options.write:
            page.write_text(fresh, encoding="utf-8")
            print(f"{page.relative_to(ROOT)}: updated")
        else:
            print(f"{page.relative_to(ROOT)}: a block differs from its source; run docs/snippets.py --write",
                  file=sys.stderr)
            stale += 1
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
