# SPDX-License-Identifier: MIT
"""
What the documentation takes from the code while it is built: references, plots, diagrams, figures.

A hook of mkdocs (`mkdocs.yml`). None of it is kept under version control, so none can be stale.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from scripts.docs_diagrams import contracts_diagram, dashboard_diagram, keeper_diagram
from scripts.docs_figures import FIGURES, png_of
from scripts.docs_numbers import measured
from scripts.docs_reference import configuration_page, contracts_page, gas_table, reasons_page

PAGES: Final[dict[str, Callable[[], str]]] = {
    "reference/contracts.md": contracts_page,
    "reference/configuration.md": configuration_page,
    "reference/reasons.md": reasons_page,
    "images/contracts.svg": contracts_diagram,
    "images/keeper.svg": keeper_diagram,
    "images/dashboard.svg": dashboard_diagram,
}
RUNBOOK: Final = "runbook.md"
MARKS: Final[dict[str, Callable[[], str]]] = {
    "<!-- gas -->": gas_table,
    "<!-- measured -->": measured,
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the runbook into the navigation where there is one."""
    if config.nav and (Path(config.docs_dir) / RUNBOOK).exists():
        config.nav.insert(3, {"Runbook": RUNBOOK})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated files."""
    for path, make in PAGES.items():
        files.append(File.generated(config, path, content=make()))
    for name, draw in FIGURES.items():
        files.append(File.generated(config, f"images/{name}.png", content=png_of(draw)))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Put figures where a page asks for them."""
    for mark, make in MARKS.items():
        if mark in markdown:
            markdown = markdown.replace(mark, make())
    return markdown
