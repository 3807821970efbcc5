# SPDX-License-Identifier: MIT
import dataclasses
import re
from html.parser import HTMLParser

import pytest

from keeper.report import (
    FIGURES,
    Bands,
    Cost,
    DecisionRow,
    History,
    Sample,
    costs_by_kind,
    drawdown,
    unhedged,
    write_report,
)
from keeper.simulation.paths import jump_diffusion

BANDS = Bands(inner=0.01, urgent=0.03, margin_floor=1.5, margin_target=2.5)
PNG = b"\x89PNG\r\n\x1a\n"


def _history() -> History:
    """A synthetic run over a seeded path: hedged NAV flat, drift inside the band."""
    samples = []
    for i, hour in enumerate(jump_diffusion(72, 5, 1_736_121_600)):
        samples.append(
            Sample(
                at=hour.closes_at,
                block=100 + i,
                price=hour.spot,
                nav_per_share=2_500.0 + i / 10,
                exposure=1.0 if i == 0 else 0.004 * ((i % 7) - 3),
                target=0.0,
                premium=hour.basis,
                mean_premium=hour.basis / 2,
                funding_rate=hour.basis / 3,
                margin_ratio=None if i == 0 else 4.0 - 2 * (hour.spot / 2_500.0 - 1),
                liquidation_distance=None if i == 0 else 0.3,
            )
        )
    costs = [
        Cost(at=s.at, kind=("trade", "gas", "funding")[s.block % 3], quote=1.0) for s in samples
    ]
    row = DecisionRow(
        at=samples[3].at, block=103, action="rebalance", reason="drift 130 bps <b>over</b> 100 bps"
    )
    return History(
        title="synthetic & short",
        asset="WETH",
        quote="USDC",
        bands=BANDS,
        samples=samples,
        costs=costs,
        decisions=[row],
        facts=[("rebalances", "1")],
    )


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in {"src", "href"}]


def test_write_report__history__html_holds_everything_itself(tmp_path):
    page = write_report(_history(), tmp_path).read_text(encoding="utf-8")
    links = _Links()
    links.feed(page)
    assert len(links.sources) == len(FIGURES)
    assert all(source.startswith("data:image/png;base64,") for source in links.sources)
    assert "script" not in links.tags
    assert "http" not in re.sub(r"base64,[^\"]+", "", page)
    assert len(page) < 1_000_000


def test_write_report__history__one_png_per_figure(tmp_path):
    write_report(_history(), tmp_path)
    for name, _, _ in FIGURES:
        assert (tmp_path / f"{name}.png").read_bytes().startswith(PNG)


def test_write_report__text_with_markup__is_escaped(tmp_path):
    page = write_report(_history(), tmp_path).read_text(encoding="utf-8")
    assert "drift 130 bps &lt;b&gt;over&lt;/b&gt; 100 bps" in page
    assert "<title>synthetic &amp; short</title>" in page


def test_write_report__one_sample_no_costs__still_builds(tmp_path):
    history = _history()
    short = dataclasses.replace(history, samples=history.samples[:1], costs=(), decisions=())
    assert write_report(short, tmp_path).exists()


def test_write_report__no_samples__refused(tmp_path):
    with pytest.raises(ValueError, match="no tick was recorded"):
        write_report(dataclasses.replace(_history(), samples=()), tmp_path)


def test_drawdown__falls_from_the_peak_not_from_the_start():
    assert drawdown([1.0, 2.0, 1.0, 3.0, 2.4]) == pytest.approx(0.5)
    assert drawdown([1.0, 1.0]) == 0.0
    assert drawdown([]) == 0.0


def test_unhedged__moves_with_the_price_alone():
    samples = _history().samples
    assert unhedged(samples)[0] == samples[0].nav_per_share
    assert unhedged(samples)[9] == pytest.approx(
        samples[0].nav_per_share * samples[9].price / samples[0].price
    )


def test_costs_by_kind__cumulate_from_zero():
    steps = costs_by_kind(_history())
    assert [steps[kind][-1][1] for kind in ("trade", "gas", "funding")] == [24.0, 24.0, 24.0]
    assert all(run[0][1] == 0.0 for run in steps.values())
