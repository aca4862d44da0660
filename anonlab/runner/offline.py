"""Pages that load nothing from the network: what is looked for, and where."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from ..errors import CourseFailed

LOADING = {  # elements that load what their attribute names, at once and without a click
    "audio": "src", "embed": "src", "iframe": "src", "img": "src", "link": "href", "object": "data",
    "script": "src", "source": "src", "video": "src",
}  # fmt: skip
NAMED_ONLY = {"canonical", "next", "prev", "author", "search", "license"}  # links that load nothing
ELSEWHERE = re.compile(r"\s*(?:https?:)?//", re.IGNORECASE)
STYLE = re.compile(r"(?:url\(\s*['\"]?|@import\s+['\"])(\s*(?:https?:)?//[^'\")]+)", re.IGNORECASE)


def check_offline(pages: Path) -> None:
    """Raises `CourseFailed` with the first page in a folder that loads something from the network."""
    for page in sorted(pages.rglob("*.html")):
        found = loads_from_network(page.read_text(encoding="utf-8", errors="replace"))
        if found:
            raise CourseFailed(
                f"{page.relative_to(pages)} would load {found[0]} from the network; put that file "
                f"beside the notebook"
            )
    for style in sorted(pages.rglob("*.css")):
        found = STYLE.findall(style.read_text(encoding="utf-8", errors="replace"))
        if found:
            raise CourseFailed(f"{style.relative_to(pages)} would load {found[0]} from the network")


def loads_from_network(page: str) -> list[str]:
    """The addresses of scripts, styles, fonts, pictures and frames that an HTML page would fetch from
    another host; what a reader has to click is not among them."""
    reader = _Loads()
    reader.feed(page)
    return reader.found


class _Loads(HTMLParser):
    """Collects what elements load; styles within the page too."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        self.in_style = tag == "style"
        loads = [said.get(LOADING.get(tag, ""), "")]
        if tag == "link" and set(said.get("rel", "").lower().split()) & NAMED_ONLY:
            loads = []
        loads += [part.strip().split(" ")[0] for part in said.get("srcset", "").split(",")]
        self.found += [one.strip() for one in loads if ELSEWHERE.match(one)]
        self.found += STYLE.findall(said.get("style", ""))

    def handle_data(self, data: str) -> None:
        if self.in_style:
            self.found += STYLE.findall(data)

    def handle_endtag(self, tag: str) -> None:
        self.in_style = self.in_style and tag != "style"
