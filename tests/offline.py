"""What a page would fetch from the network."""

import re
from html.parser import HTMLParser
from pathlib import Path

LOADING = {  # elements that load what their attribute names, at once and without a click
    "audio": "src", "embed": "src", "iframe": "src", "img": "src", "link": "href", "object": "data",
    "script": "src", "source": "src", "video": "src",
}  # fmt: skip
NAMED_ONLY = {"canonical", "next", "prev", "author", "search", "license"}  # links that load nothing
ELSEWHERE = re.compile(r"\s*(?:https?:)?//", re.IGNORECASE)
STYLE = re.compile(r"(?:url\(\s*['\"]?|@import\s+['\"])(\s*(?:https?:)?//[^'\")]+)", re.IGNORECASE)


def loads_of(pages: Path) -> list[str]:
    """Return the addresses that the pages and styles in a folder would fetch."""
    found = [one for page in pages.rglob("*.html") for one in loads_from_network(page.read_text())]
    return found + [one for style in pages.rglob("*.css") for one in STYLE.findall(style.read_text())]


def loads_from_network(page: str) -> list[str]:
    """Return the addresses of scripts, styles, fonts, pictures and frames that an HTML page would fetch
    from another host; what a reader has to click is not among them."""
    reader = _Loads()
    reader.feed(page)
    return reader.found


class _Loads(HTMLParser):
    """Collect what elements load; styles within the page too."""

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
