# SPDX-License-Identifier: MIT
"""The pages' files are in the package, complete and with nothing from elsewhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import keeper.web

ROOT = Path(__file__).resolve().parents[4]
WEB = Path(keeper.web.__file__).parent
ELSEWHERE = re.compile(r"(?:src|href|action)=[\"'](?:https?:)?//|@import|url\((?!#)")


def own_files(*suffixes):
    return [
        path
        for path in WEB.rglob("*")
        if path.suffix in suffixes and "vendor" not in path.parts and path.is_file()
    ]


def test_files__all_of_them_are_packaged():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["keeper.web"]
    packaged = {path for pattern in patterns for path in WEB.glob(pattern) if path.is_file()}
    others = {p for p in WEB.rglob("*") if p.is_file() and p.suffix not in {".py", ".pyc"}}
    assert packaged == others


def test_files__refer_to_nothing_elsewhere():
    found = [p.name for p in own_files(".html", ".css", ".js") if ELSEWHERE.search(p.read_text())]
    assert found == []


def test_templates__have_no_script_style_or_handler_of_their_own():
    """The content security policy would refuse them, and rightly."""
    inline = re.compile(r"<style|\sstyle=|\son[a-z]+=|javascript:", re.IGNORECASE)
    script = re.compile(r"<script(?![^>]*(?:src=|type=\"application/json\"))")
    for path in own_files(".html"):
        text = path.read_text(encoding="utf-8")
        assert not inline.search(text), path.name
        assert not script.search(text), path.name


def test_templates__escape_everything():
    for path in own_files(".html"):
        text = path.read_text(encoding="utf-8")
        assert "|safe" not in text.replace(" ", ""), path.name
        assert "autoescape" not in text, path.name


def test_vendored__with_its_licence():
    vendor = WEB / "static" / "vendor"
    assert "MIT" in (vendor / "uPlot.LICENSE.txt").read_text(encoding="utf-8")
