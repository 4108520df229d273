"""The blocks of code of a page: what is indented, or stands between fences of `sh`."""

import re
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from lab.stack.var import BASE_DIR

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Neighbouring lines of four spaces. Right below a paragraph they are none: Markdown takes them for its next line.
INDENTED = re.compile(r"(?<=\n\n) {4}.*(?:\n+ {4}.*)*")
OUTPUT = re.compile(r"<!-- (?:output|table): \w+ -->\n.*?<!-- end -->", re.DOTALL)
SHELL = {"", "sh", "bash", "console"}


@dataclass(frozen=True)
class Block:
    page: str
    line: int  # where it begins
    text: str

    @property
    def name(self) -> str:
        """The page and the first line, by which tests/docs/not_run.py names it."""
        return f"{self.page}: {self.text.splitlines()[0]}"


def list_pages() -> list[Path]:
    return [BASE_DIR / "README.md", BASE_DIR / "CONTRIBUTING.md", *sorted((BASE_DIR / "docs").glob("*.md"))]


def find_blocks(page: Path) -> list[Block]:
    """In the order of the page. Printed output, and fences of another language, are none."""
    name, text = str(page.relative_to(BASE_DIR)), blank(OUTPUT, page.read_text())
    found = [*INDENTED.finditer(blank(FENCED, text))]
    found += [fence for fence in FENCED.finditer(text) if fence[1] in SHELL]
    return sorted((make_block(name, match) for match in found), key=lambda block: block.line)


def make_block(page: str, found: re.Match[str]) -> Block:
    return Block(page, found.string.count("\n", 0, found.start()) + 1, dedent(found[found.lastindex or 0]).strip())


def blank(pattern: re.Pattern[str], text: str) -> str:
    """The text with as many empty lines in place of what the pattern finds."""
    return pattern.sub(lambda found: "\n" * found[0].count("\n"), text)
