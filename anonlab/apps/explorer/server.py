"""The explorer as a web page, for this machine only, with one set of weights for all pages."""

from __future__ import annotations

import asyncio
import contextlib
import json
import webbrowser
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, StaticFileHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from ...pipeline import Anonymizer
from .panel import Explorer, photo_choices

HERE = r"(localhost|127\.0\.0\.1)"  # names of this machine; another site's name for it gets nothing
KEY = b"a classroom key is no secret"  # of the sample photos; a user's own get a random one


class Page(WebSocketHandler):
    """The connection of one page, with an explorer and a thread that does what the page asks in order.

    When the page is closed, photo, setting and key are forgotten.
    """

    def initialize(self, anonymizer: Anonymizer) -> None:
        self.anonymizer = anonymizer

    def open(self) -> None:
        self.explorer, self.thread = Explorer(self.anonymizer, photo_choices()), ThreadPoolExecutor(1)
        loop = asyncio.get_running_loop()
        self.explorer.tell = lambda said: loop.call_soon_threadsafe(self.tell, json.dumps(said))

    def tell(self, text: str) -> None:
        """Send a message to the page, if it is there."""
        with contextlib.suppress(WebSocketClosedError):
            self.write_message(text)

    def on_message(self, message: str | bytes) -> None:
        self.thread.submit(self.explorer.hear, json.loads(message))  # pages don't wait for one another

    def on_close(self) -> None:
        self.thread.submit(self.explorer.close)
        self.thread.shutdown(wait=False)


async def serve(port: int, browser: bool) -> None:
    """Serve the page until it is cancelled. A `port` that is taken is replaced by another. Raises as
    `Anonymizer.load` does."""
    print("the networks are being loaded: ten seconds", flush=True)
    parts = {"anonymizer": Anonymizer.load(key=KEY)}
    page = {"path": str(Path(__file__).parent / "page"), "default_filename": "index.html"}
    app = Application(websocket_max_message_size=4 << 20)
    app.add_handlers(HERE, [("/page", Page, parts), (r"/(.*)", StaticFileHandler, page)])
    try:
        sockets = bind_sockets(port, "127.0.0.1")
    except OSError:  # taken
        sockets = bind_sockets(0, "127.0.0.1")
    HTTPServer(app).add_sockets(sockets)
    address = f"http://localhost:{sockets[0].getsockname()[1]}/"
    print(f"the explorer: {address} (end it with Ctrl-C)", flush=True)
    if browser:
        webbrowser.open(address)
    await asyncio.Event().wait()
