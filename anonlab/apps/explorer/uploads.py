"""Let large photos through a Jupyter server: an uploaded photo is one message of its websocket."""

from __future__ import annotations

from typing import Any

LIMIT = 1 << 30  # bytes
SETTING = "websocket_max_message_size"


def _jupyter_server_extension_points() -> list[dict]:
    return [{"module": "anonlab.apps.explorer.uploads"}]


def _load_jupyter_server_extension(server: Any) -> None:
    """Raise the server's limit to `LIMIT`; a limit that its user has set stays."""
    if SETTING not in server.tornado_settings:
        server.web_app.settings[SETTING] = LIMIT
