# SPDX-License-Identifier: MIT
"""A headless Chromium of the machine's own, with what it asked for and complained about."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
AXE = Path(__file__).parents[1] / "node_modules" / "axe-core" / "axe.min.js"
DESK = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}


def chromium() -> str:
    """Return the program, or skip the test where the machine has none."""
    found = next((path for name in PROGRAMS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no Chromium on this machine (looked for {', '.join(PROGRAMS)})")
    return found


class Window:
    """A page that remembers its requests and complaints."""

    def __init__(self, context) -> None:
        self.page = context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "console",
            lambda line: self.complaints.append(line.text) if line.type == "error" else None,
        )

    def foreign(self, base: str) -> list[str]:
        """Return requests that went anywhere but to the dashboard."""
        return [url for url in self.requests if not url.startswith((base, "data:", "blob:"))]

    def wait_until_it_fits(self) -> None:
        """Fail if the page stays wider than its window; charts follow it a moment later."""
        self.page.wait_for_function(
            # a function: a bare expression is evaluated anew by `eval`, which the pages forbid
            "() => document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )

    def barriers(self) -> list[str]:
        """Return what axe-core finds wrong for people who see, hear or move differently."""
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = self.page.evaluate("axe.run({resultTypes: ['violations']})")
        return [
            f"{v['id']}: {v['help']} at {[node['target'] for node in v['nodes']][:3]}"
            for v in found["violations"]
        ]


@contextmanager
def browser() -> Iterator[object]:
    """Start the browser; it ends with the block."""
    from playwright.sync_api import sync_playwright

    program = chromium()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        try:
            yield started
        finally:
            started.close()


@contextmanager
def window(started, **options) -> Iterator[Window]:
    """Open a window with a clean profile."""
    context = started.new_context(**({"viewport": DESK} | options))
    context.set_default_timeout(10_000)
    try:
        yield Window(context)
    finally:
        context.close()
