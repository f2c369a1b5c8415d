"""The pages: code blocks equal their compiled sources, links lead somewhere, every public name is listed."""

import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs"))

import snippets  # noqa: E402

FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]\[]*(?:\[[^\]]*\][^\]\[]*)*\]\(([^()\s]+)\)")


def prose(text):
    """The text without fenced and inline code."""
    return re.sub(r"`[^`\n]*`", "`code`", FENCE.sub("", text))


def anchors(text):
    """Names under which the headings of a page can be reached, formed as GitHub does."""
    found = set()
    for heading in re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE):
        name = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        unique, count = name, 0
        while unique in found:
            count += 1
            unique = f"{name}-{count}"
        found.add(unique)
    return found


def broken_links(page):
    """Relative links of a page to files or headings that do not exist."""
    broken = []
    text = page.read_text(encoding="utf-8")
    for link in LINK.findall(prose(text)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page if not path else page.parent / urllib.parse.unquote(path)
        if not target.exists():
            broken.append(link)
        elif anchor and target.suffix == ".md" and anchor not in anchors(target.read_text(encoding="utf-8")):
            broken.append(link)
    return broken


def all_pages():
    """Every page of the tree, the ones beside code included."""
    folders = ("docs", "tests", "benchmarks", "examples")
    return [ROOT / "README.md", *(page for folder in folders for page in sorted((ROOT / folder).rglob("*.md")))]


def public_headers():
    headers = sorted((ROOT / "include/reckon").rglob("*.hpp"))
    return [h for h in headers if "detail" not in h.relative_to(ROOT).parts]


def public_names(text):
    """Types and functions that a header declares at namespace level, outside namespaces called detail."""
    names, hidden = set(), False
    for line in text.splitlines():
        if re.match(r"namespace (?:reckon::)?(?:\w+::)*detail \{", line):
            hidden = True
        elif re.match(r"\}  // namespace (?:reckon::)?(?:\w+::)*detail", line):
            hidden = False
        if hidden:
            continue
        line = re.sub(r"alignas\(\d+\) ", "", line)
        declared = (re.match(r"(?:class|struct|enum class|concept) (\w+)\b(?! *;| *<)", line)
                    or re.match(r"(?:\w[\w:<>,&* ]*) (\w+)\((?!\))", line))
        if declared and not re.match(r"(?:template|friend|using|return|static|concept \w+;|class \w+;)", line):
            names.add(declared[1])
    return names


class Snippets(unittest.TestCase):
    def test_blocks_equal_their_sources(self):
        done = subprocess.run([sys.executable, "-B", str(ROOT / "docs/snippets.py"), "--check"],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_every_block_of_c_plus_plus_has_a_source(self):
        for page in snippets.pages():
            text = page.read_text(encoding="utf-8")
            sourced = len([b for b in snippets.BLOCK.finditer(text) if b["open"].startswith("```cpp")])
            self.assertEqual(len(re.findall(r"^```cpp$", text, re.MULTILINE)), sourced, page)

    def test_a_changed_source_is_seen(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            source = root / "a.cpp"
            source.write_text("int before;\n    // snippet: part\n    int x;\n        int deeper;\n"
                              "    // end snippet\nint after;\n")
            page = "Text\n\n<!-- snippet: a.cpp#part -->\n```cpp\nint x;\n    int deeper;\n```\n"
            self.assertEqual(snippets.updated(page, root), page)
            source.write_text(source.read_text().replace("int x", "int y"))
            self.assertEqual(snippets.updated(page, root), page.replace("int x", "int y"))

    def test_a_broken_source_is_refused(self):
        page = "<!-- snippet: a.cpp#part -->\n```cpp\n```\n"
        for text in ("", "// snippet: part\n", "// end snippet\n", "// snippet: other\n// end snippet\n",
                     "// snippet: part\n// snippet: other\n// end snippet\n// end snippet\n",
                     "// snippet: part\n// end snippet\n// snippet: part\n// end snippet\n"):
            with tempfile.TemporaryDirectory() as folder, self.assertRaises(snippets.SnippetError, msg=text):
                (pathlib.Path(folder) / "a.cpp").write_text(text)
                snippets.updated(page, pathlib.Path(folder))
        with tempfile.TemporaryDirectory() as folder, self.assertRaises(snippets.SnippetError):
            snippets.updated(page, pathlib.Path(folder))


class Links(unittest.TestCase):
    def test_relative_links_exist(self):
        checked = all_pages()
        self.assertGreater(len(checked), 10)
        for page in checked:
            with self.subTest(page=str(page.relative_to(ROOT))):
                self.assertEqual(broken_links(page), [])

    def test_broken_links_are_seen(self):
        with tempfile.TemporaryDirectory() as folder:
            page = pathlib.Path(folder) / "page.md"
            page.write_text("# A `title`, 1.2\n[a](page.md) [b](gone.md) [c](#a-title-12) [d](#gone) [e](page.md#gone)\n"
                            "![f](gone.svg) `[g](code.md)` <!-- --> [`h`](gone.hpp) [i](https://example.org)\n")
            self.assertEqual(broken_links(page), ["gone.md", "#gone", "page.md#gone", "gone.svg", "gone.hpp"])

    def test_readme_is_near_every_kernel_page(self):
        linked = set(LINK.findall(prose((ROOT / "README.md").read_text(encoding="utf-8"))))
        for page in sorted((ROOT / "docs/kernels").glob("*.md")):
            self.assertIn(f"docs/kernels/{page.name}", linked)


class Citations(unittest.TestCase):
    def test_cited_test_cases_exist(self):
        count = 0
        for page in all_pages():
            for case, path in re.findall(r"\[`([^`]+: [^`]+)`\]\(([^)]+\.cpp)\)", page.read_text(encoding="utf-8")):
                count += 1
                text = (page.parent / path).read_text(encoding="utf-8")
                self.assertRegex(text, r"TEST_CASE\w*\(\s*\"" + re.escape(case), f"{page.name} cites it")
        self.assertGreater(count, 30)


class Names(unittest.TestCase):
    def test_the_umbrella_includes_every_family(self):
        text = (ROOT / "include/reckon/reckon.hpp").read_text(encoding="utf-8")
        for header in public_headers():
            name = header.relative_to(ROOT / "include").as_posix()
            if not re.match(r"reckon/(testing/|core/|exec/|eigen.hpp|reckon.hpp)", name):
                self.assertIn(f'#include "{name}"', text)

    def test_every_public_name_is_in_its_page(self):
        text = {page.stem: page.read_text(encoding="utf-8") for page in (ROOT / "docs/kernels").glob("*.md")}
        count = 0
        for header in public_headers():
            relative = header.relative_to(ROOT / "include/reckon")
            family = relative.parts[0] if len(relative.parts) > 1 and relative.parts[0] in text else "core"
            self.assertIn(f"include/reckon/{relative.as_posix()})", text[family], "no link to a public header")
            for name in public_names(header.read_text(encoding="utf-8")):
                count += 1
                self.assertRegex(text[family], rf"`(?:\w+::)*{name}\b", f"a public name of {relative} is missing")
        self.assertGreater(count, 100)

    def test_names_are_found(self):
        header = """
class later;
struct plain {
template <class T>
concept shape = true;
enum class kind : int {
namespace detail {
struct hidden {
}  // namespace detail
template <class T>
double free_function(const T& x) {
RECKON_INLINE std::vector<int> other(int x) {
    int local(int x);
struct specialised<int> {
"""
        self.assertEqual(public_names(header), {"plain", "shape", "kind", "free_function", "other"})


if __name__ == "__main__":
    unittest.main()
