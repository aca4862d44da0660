"""The explorer as a web page, for this machine only: one process and one set of weights for all pages.

A page that is reloaded finds its photo, setting and key again. `KEPT` seconds after it was left they are
forgotten, and with them the memory they took.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import webbrowser
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, StaticFileHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler

if TYPE_CHECKING:
    from .panel import Explorer

KEPT = 30.0  # seconds
HERE = r"(localhost|127\.0\.0\.1)"  # names of this machine; another site's name for it gets nothing
KEY = b"a classroom key is no secret"  # of the sample photos; a user's own get a random one


class Session:
    """One page's explorer, and a thread that does what the page asks in order."""

    def __init__(self, loading: Future[Callable[[], Explorer]]):
        self.loading, self.thread, self.loop = loading, ThreadPoolExecutor(1), asyncio.get_running_loop()
        self.explorer: Explorer | None = None
        self.socket: Socket | None = None

    def hear(self, text: str | bytes) -> None:
        """Do what a message asks, when the networks are there."""
        if self.explorer is None:
            self.explorer = self.loading.result()()
            self.explorer.tell = lambda said: self.loop.call_soon_threadsafe(self.tell, json.dumps(said))
        self.explorer.hear(json.loads(text))

    def tell(self, text: str) -> None:
        """Send a message to the page, if it is there."""
        with contextlib.suppress(WebSocketClosedError):
            if self.socket:
                self.socket.write_message(text)

    def close(self) -> None:
        """Forget everything, after what is being done."""
        self.thread.submit(lambda: self.explorer and self.explorer.close())
        self.thread.shutdown(wait=False)


class Socket(WebSocketHandler):
    """The connection of one page, to the session that it names; a copy of an open page gets its own."""

    def initialize(self, sessions: dict[str, Session], loading: Future) -> None:
        self.sessions, self.loading = sessions, loading

    def open(self, name: str) -> None:
        taken = name in self.sessions and self.sessions[name].socket
        self.name = f"{name}-{id(self)}" if taken else name
        self.session = self.sessions.get(self.name) or Session(self.loading)
        self.sessions[self.name] = self.session
        self.session.socket = self

    def on_message(self, message: str | bytes) -> None:
        self.session.thread.submit(self.session.hear, message)  # pages don't wait for one another

    def on_close(self) -> None:
        self.session.socket = None
        self.session.loop.call_later(KEPT, self._forget)

    def _forget(self) -> None:
        if self.session.socket is None and self.sessions.get(self.name) is self.session:
            del self.sessions[self.name]
            self.session.close()


def load() -> Callable[[], Explorer]:
    """Load the networks; returns what makes the explorer of a page."""
    from ...pipeline import Anonymizer  # these imports take seconds
    from .panel import Explorer, photo_choices

    anonymizer = Anonymizer.load(key=KEY)
    return lambda: Explorer(anonymizer, photo_choices())


async def serve(port: int, browser: bool) -> None:
    """Answer at once, and load the networks meanwhile. A `port` that is taken is replaced by another."""
    loading = ThreadPoolExecutor(1).submit(load)
    page = {"path": str(Path(__file__).parent / "page"), "default_filename": "index.html"}
    app = Application(websocket_max_message_size=4 << 20)
    socket = (r"/pages/([\w-]{8,64})", Socket, {"sessions": {}, "loading": loading})
    app.add_handlers(HERE, [socket, (r"/(.*)", StaticFileHandler, page)])
    try:
        sockets = bind_sockets(port, "127.0.0.1")
    except OSError:  # taken
        sockets = bind_sockets(0, "127.0.0.1")
    HTTPServer(app).add_sockets(sockets)
    address = f"http://localhost:{sockets[0].getsockname()[1]}/"
    print(f"the explorer: {address} (end it with Ctrl-C)", flush=True)
    if browser:
        webbrowser.open(address)
    await asyncio.wrap_future(loading)  # an error of loading ends the server
    await asyncio.Event().wait()
