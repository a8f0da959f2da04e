"""Opening the page in a browser, where there is a desktop and a person in front of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

SSH = ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY")
TEXT_BROWSERS = {"www-browser", "links", "elinks", "lynx", "w3m"}
"""They would take the terminal over."""


def has_desktop(environment: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Return whether windows opened from here are seen: not over SSH, not without a display."""
    if any(environment.get(name) for name in SSH):
        return False
    if platform in {"darwin", "win32"}:
        return True
    return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def open_page(address: str) -> bool:
    """Open an address in the person's browser, without waiting for it.

    Returns False, and does nothing, where there is no desktop, no browser with a window, or where
    standard output is not a terminal: then a program started the command.
    """
    if not (sys.stdout.isatty() and has_desktop(os.environ)):
        return False
    import threading
    import webbrowser

    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return False
    if Path(getattr(browser, "name", "")).name in TEXT_BROWSERS:
        return False
    threading.Thread(target=browser.open, args=(address,), daemon=True).start()
    return True
