# SPDX-License-Identifier: MIT
"""The documentation: built as `make docs` does it, with broken links as errors."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from keeper.abi import CONTRACTS
from keeper.config import ConfigFile
from keeper.errors import REASONS
from scripts import docs_numbers
from scripts.docs_diagrams import Box, contracts_diagram, svg
from scripts.docs_reference import (
    configuration_page,
    contracts_page,
    gas_table,
    reasons_page,
)
from tests.browser import browser, window

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    "index", "concepts", "depositor", "operator", "dashboard", "architecture", "security",
    "numbers", "evidence", "reference/contracts", "reference/configuration", "reference/reasons",
)  # fmt: skip
BROKEN = ("[x](nowhere.md)", "[x](concepts.md#nothing)", "![x](images/no.png)")
LOADED = re.compile(
    r"<(?:script|link|img|iframe)[^>]+(?:src|href)=[\"']?(?:https?:)?//", re.IGNORECASE
)


def build(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict",
         "--config-file", str(config), "--site-dir", str(site)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT / "mkdocs.yml", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_site__has_every_page_and_picture(site):
    for name in PAGES:
        page = site / f"{name}.html"
        assert page.exists(), name
        for source in re.findall(r'<img[^>]+src="([^"]+)"', page.read_text(encoding="utf-8")):
            assert (page.parent / source).stat().st_size > 100, (name, source)


def test_site__loads_nothing_from_elsewhere(site):
    for page in site.rglob("*.html"):
        assert LOADED.findall(page.read_text(encoding="utf-8")) == [], page.name


@pytest.mark.parametrize("page", ["index.html", "reference/contracts.html"])
def test_site__opened_from_its_folder__is_searched_without_a_server(site, page):
    with browser() as chromium, window(chromium) as shown:
        shown.page.goto((site / page).as_uri())
        query = shown.page.locator("[data-md-component=search-query]")
        query.press_sequentially("deleveraging")  # key by key, as the theme listens
        shown.page.locator(".md-search-result__item a >> text=levered most").first.click()
        shown.page.wait_for_url(re.compile(r"[?&]h="))
        assert shown.page.locator("mark[data-md-highlight]").count() > 0  # what was sought
        assert shown.foreign("file://") == []
        assert shown.complaints == []


def test_site__gas_is_that_of_the_snapshot(site):
    text = (site / "numbers.html").read_text(encoding="utf-8")
    assert gas_table().splitlines()[2].split("|")[2].strip() in text


def test_numbers__a_bench__what_it_prints_is_kept_for_the_page(tmp_path, monkeypatch):
    monkeypatch.setattr(docs_numbers, "MEASURED", tmp_path / "measured")
    bench = tmp_path / "bench_tea_time.py"
    bench.write_text("def test_it():\n    print('\\n5 o clock')\n")
    docs_numbers.main([str(bench)])
    kept = (tmp_path / "measured" / "tea_time.txt").read_text()
    assert re.fullmatch(r"20\d\d-\d\d-\d\d, \d+ cores, load [\d.]+ before\n5 o clock\n", kept)
    assert docs_numbers.measured() == f"### tea time\n\n```text\n{kept}```"
    bench.write_text("def test_it():\n    print('6 o clock')\n    assert False\n")
    with pytest.raises(SystemExit):
        docs_numbers.main([str(bench)])
    assert (tmp_path / "measured" / "tea_time.txt").read_text() == kept


def rows_of(text, head):
    """Return the rows of the table under a head line."""
    body = text.partition(head)[2].lstrip("\n").partition("\n\n")[0].splitlines()[1:]
    assert body, head
    return body


def test_readme__gas_is_that_of_the_snapshot_and_figures_those_of_the_page():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert docs_numbers.with_gas(readme) == readme, "python -m scripts.docs_numbers gas"
    stale = readme.replace("| withdraw from margin | ", "| withdraw from margin | 9")
    assert docs_numbers.with_gas(stale) == readme != stale
    page = (ROOT / "docs" / "numbers.md").read_text(encoding="utf-8")
    assert [row for row in rows_of(readme, "\n| what | measured |") if row not in page] == []


def test_build__broken_links__each_is_an_error(tmp_path):
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    with (tmp_path / "docs" / "index.md").open("a", encoding="utf-8") as page:
        page.write("\n".join(["", *BROKEN, ""]))
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    config = tmp_path / "mkdocs.yml"
    config.write_text(text.replace("scripts/docs.py", str(ROOT / "scripts" / "docs.py")))
    done = build(config, tmp_path / "site")
    assert done.returncode != 0
    for link in BROKEN:
        assert link.rpartition("(")[2].rstrip(")") in done.stderr, link


def test_build__with_a_runbook__it_is_in_the_navigation(tmp_path):
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    (tmp_path / "docs" / "runbook.md").write_text("# Runbook\n\n[back](index.md)\n")
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    config = tmp_path / "mkdocs.yml"
    config.write_text(text.replace("scripts/docs.py", str(ROOT / "scripts" / "docs.py")))
    done = build(config, tmp_path / "site")
    assert done.returncode == 0, done.stderr
    assert 'href="runbook.html"' in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")


def test_contracts__each_with_its_functions_and_how_it_is_stopped():
    page = contracts_page()
    for path in (ROOT / "contracts").glob("*.vy"):
        part = page.partition(f"\n## {path.stem}\n")[2].partition("\n## ")[0]
        assert "**How it is stopped, and what still works.**" in part, path.stem
        source = path.read_text(encoding="utf-8")
        for name in re.findall(r"^@external\n(?:@\w+\n)*def (\w+)\(", source, re.MULTILINE):
            if not name.startswith("__"):
                assert f"### {path.stem}.{name}".replace("_", "") in part.replace("\\_", ""), name


def test_diagram__every_contract_that_somebody_meets():
    drawn = contracts_diagram()
    assert [name for name in CONTRACTS if name != "VaultLens" and f">{name}<" not in drawn] == []


def test_configuration__has_every_key():
    page = configuration_page()
    for name, field in ConfigFile.model_fields.items():
        assert name in page
        for key in getattr(field.annotation, "model_fields", {}):
            assert f"| `{key}` |" in page, key


def test_reasons__all_of_them():
    page = reasons_page()
    assert all(f"| `{reason}` |" in page for reason in REASONS)


def test_diagram__names_are_escaped():
    drawn = svg("a", [Box(name="<b>", says="&", column=0, row=0)], [])
    assert "&lt;b&gt;" in drawn
    assert "&amp;" in drawn
