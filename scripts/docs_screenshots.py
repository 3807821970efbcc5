# SPDX-License-Identifier: MIT
"""
Take the screenshots of the documentation from a dashboard that runs.

    python -m scripts.docs_screenshots http://127.0.0.1:8800 0xDEPOSITOR

Needs a Chromium on the machine, and something proposed to the vault's owner; overwrites
`docs/images`.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any, Final

import requests
from playwright.sync_api import sync_playwright

IMAGES: Final = Path(__file__).resolve().parents[1] / "docs" / "images"
DESK: Final = {"width": 1200, "height": 800}
PHONE: Final = {"width": 390, "height": 844}
SETTLE_MS: Final = 500  # until charts are drawn


def main(base: str, depositor: str) -> None:
    """Take them all."""
    vault = _first(f"{base}/", r"/vaults/0x[0-9a-f]{40}")
    plan = _first(f"{base}/decisions?kind=rebalance", r"/decisions/\d+")
    shots: tuple[tuple[str, str, str, dict[str, int]], ...] = (
        ("overview-light", "/", "light", DESK),
        ("overview-phone", "/", "light", PHONE),
        ("vault-dark", vault, "dark", {"width": 1200, "height": 1150}),
        ("decision-light", plan, "light", {"width": 1200, "height": 1350}),
        ("depositor-light", f"/depositors/{depositor}", "light", {"width": 1200, "height": 620}),
        ("keeper-dark", "/keeper", "dark", DESK),
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for name, path, scheme, size in shots:
            options: dict[str, Any] = {"viewport": size, "color_scheme": scheme}
            page = browser.new_context(**options).new_page()
            page.goto(base + path)
            page.wait_for_timeout(SETTLE_MS)
            page.screenshot(path=IMAGES / f"{name}.png")
        page = browser.new_context(color_scheme="light").new_page()
        page.goto(base + vault)
        page.locator("#owner").screenshot(path=IMAGES / "owner-light.png")
        browser.close()


def _first(url: str, pattern: str) -> str:
    found = re.search(pattern, requests.get(url, timeout=10).text)
    if found is None:
        raise SystemExit(f"{url} shows nothing like {pattern}")
    return found.group()


if __name__ == "__main__":
    main(*sys.argv[1:3])
