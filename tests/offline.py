"""What a page would fetch from the network."""

import re
from pathlib import Path

from bs4 import BeautifulSoup

LOADING = {  # elements that load what their attribute names, at once and without a click
    "audio": "src", "embed": "src", "iframe": "src", "img": "src", "link": "href", "object": "data",
    "script": "src", "source": "src", "video": "src",
}  # fmt: skip
NAMED_ONLY = {"canonical", "next", "prev", "author", "search", "license"}  # links that load nothing
ELSEWHERE = re.compile(r"\s*(?:https?:)?//", re.IGNORECASE)
STYLE = re.compile(r"(?:url\(\s*['\"]?|@import\s+['\"])(\s*(?:https?:)?//[^'\")]+)", re.IGNORECASE)


def loads_of(pages: Path) -> list[str]:
    """Return the addresses of scripts, styles, fonts, pictures and frames that the pages and styles in a
    folder would fetch from another host; what a reader has to click is not among them."""
    found = [one for style in pages.rglob("*.css") for one in STYLE.findall(style.read_text())]
    for page in pages.rglob("*.html"):
        for tag in BeautifulSoup(page.read_text(), "html.parser").find_all(True):
            loads = [tag.get(LOADING.get(tag.name, ""), "")]
            if tag.name == "link" and NAMED_ONLY & {*" ".join(tag.get("rel", [])).lower().split()}:
                loads = []
            loads += [part.strip().split(" ")[0] for part in tag.get("srcset", "").split(",")]
            found += [one.strip() for one in loads if ELSEWHERE.match(one)]
            found += STYLE.findall(tag.get("style", "") + (tag.text if tag.name == "style" else ""))
    return found
