# SPDX-License-Identifier: MIT
"""The dashboard as people use it: a real browser over a real chain with a keeper at work."""

from __future__ import annotations

import pytest
import requests

from tests.browser import PHONE, window
from tests.dashboard_world import HOSTILE, World, many, served, state_of, write_long_history
from tests.keeper_world import VAULT, VENUE
from tests.live_dashboard import (
    DEPOSITOR,
    PAGES,
    check_arrival,
    check_page,
    paths,
    said,
)

pytestmark = [pytest.mark.node, pytest.mark.slow]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_page__on_a_live_chain__says_it_to_everybody(chromium, site, system, name, scheme):
    check_page(chromium, site, system[0], name, scheme)


def test_overview__somebody_deposits__arrives_without_a_reload(chromium, site, system):
    check_arrival(chromium, site, system[0])


def test_node__does_not_answer__shown_as_such_until_it_does(chromium, site, system):
    _, _, proxy = system
    with window(chromium) as shown:
        page = shown.page
        page.goto(site)
        assert "Live" in page.locator("#state").inner_text()
        proxy.meddle = lambda methods: "drop"
        try:
            page.wait_for_selector("#state >> text=Chain not readable")
            assert "Shown is what was read" in page.locator("#notices").inner_text()
            assert page.locator("#totals .big").count() == 3  # what was read stays
        finally:
            proxy.meddle = lambda methods: None
        page.wait_for_selector("#state >> text=Live")
        assert shown.foreign(site) == []


def test_vault__charts_are_drawn_and_read_by_keys(chromium, site, system):
    with window(chromium) as shown:
        page = shown.page
        page.goto(site + paths(system[0])["vault"])
        assert page.locator(".plot canvas").count() == 6
        page.locator(".plot").first.focus()
        page.keyboard.press("End")
        page.wait_for_function("() => document.querySelector('.legend output').textContent !== ''")
        assert "UTC" in page.locator(".plot").first.get_attribute("data-when")


def test_keyboard__reaches_the_content_and_the_colours(chromium, site):
    with window(chromium, color_scheme="light") as shown:
        page = shown.page
        page.goto(site)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        page.keyboard.press("Enter")
        assert page.evaluate("location.hash") == "#main"
        light = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.locator("#theme").focus()
        page.keyboard.press("Enter")  # light
        page.keyboard.press("Enter")  # dark
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
        page.reload()
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_depositor__by_the_form__without_scripts(chromium, site, system):
    world, _, _ = system
    with window(chromium, java_script_enabled=False) as shown:
        page = shown.page
        page.goto(f"{site}/depositors")
        page.fill("#address", world.account(DEPOSITOR).address)
        page.locator("main button").click()
        assert "What is owned" in page.inner_text("main")


def test_depositor__in_the_queue__keeps_what_it_cost(chromium, site, system):
    """Nine tenths in hand and one in the queue are one deposit of 50."""
    with window(chromium) as shown:
        shown.page.goto(site + paths(system[0])["depositor"])
        text = said(shown.page)
        assert "Cost 125,000.00 tUSDC 50.0000 tETH at 2,500.00 tUSDC" in text
        assert "number 0" in text


def test_host__another_name__refused_by_the_real_server(site):
    answer = requests.get(site, headers={"Host": "rebound.example:80"}, timeout=5)
    assert answer.status_code == 421


# Where a scripted node is enough


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """200 vaults, and 10,000 decisions about one of them."""
    states = many(200)
    world = World(tmp_path_factory.mktemp("crowd"), states)
    journal = world.journal()
    vaults = [states[0].vault.vault]
    write_long_history(journal, 500, 20, vaults[0])
    journal.close()
    with served(world.config_path, every_secs=1.0) as url:
        yield url, vaults[0]
    world.close()


def test_crowd__200_vaults__usable(chromium, crowd):
    url, _ = crowd
    with window(chromium) as shown:
        page = shown.page
        page.goto(url)
        assert page.locator("#vault-rows tr").count() == 200
        page.fill("#filter", "urgent band of 10.00")
        assert page.locator("#vault-rows tr:visible").count() == 33  # every sixth
        page.fill("#filter", "")
        assert page.locator("#vault-rows tr:visible").count() == 200
    with window(chromium, viewport=PHONE) as shown:
        shown.page.goto(url)
        shown.wait_until_it_fits()


def test_crowd__10_000_decisions__a_page_at_a_time(chromium, crowd):
    url, vault = crowd
    with window(chromium) as shown:
        page = shown.page
        page.goto(f"{url}/decisions?kind=acted")
        assert page.locator("tbody tr").count() == 50
        first = page.locator("tbody tr a").first.inner_text()
        page.click("#older")
        assert page.locator("tbody tr").count() == 50
        assert page.locator("tbody tr a").first.inner_text() != first
        page.goto(f"{url}/decisions?kind=all")
        assert page.locator("text=times in a row").count() >= 2
        page.goto(f"{url}/vaults/{vault}")
        assert page.locator(".plot canvas").count() == 6


def test_texts_of_the_chain__hostile__harmless(chromium, tmp_path):
    world = World(tmp_path, [state_of(price_ok=False, price_reason="<script>pwned=1</script>")])
    world.symbols = (HOSTILE, "<b>$")
    try:
        with served(world.config_path) as url, window(chromium) as shown:
            for path in ("/", f"/vaults/{VAULT}", f"/venues/{VENUE}"):
                shown.page.goto(url + path)
                assert shown.page.evaluate("window.pwned") is None
                assert shown.page.locator("main script:not([type='application/json'])").count() == 0
            assert "<script>" in shown.page.inner_text("main")  # as text
    finally:
        world.close()


def test_page__nobody_sees__holds_no_stream_and_catches_up(chromium, tmp_path):
    """A browser opens six connections to a host: the seventh tab would wait for ever."""
    world = World(tmp_path)
    hide = """hidden => {
        Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
        document.dispatchEvent(new Event('visibilitychange'));
    }"""
    try:
        with served(world.config_path) as url, window(chromium) as shown:
            page, ended = shown.page, []
            for event in ("requestfailed", "requestfinished"):
                page.on(event, lambda request: ended.append(request.url))
            page.goto(url)
            page.evaluate(hide, True)
            world.states = [state_of(101)]
            world.node.head = 101
            page.wait_for_timeout(1_000)
            assert f"{url}/events" in ended
            assert "block 100" in page.inner_text("#state")
            page.evaluate(hide, False)
            page.wait_for_selector("#state >> text=block 101")
    finally:
        world.close()


def test_server__goes_away__the_page_says_so(chromium, tmp_path):
    world = World(tmp_path)
    try:
        with window(chromium) as shown:
            with served(world.config_path) as url:
                shown.page.goto(url)
                assert shown.page.locator("#cut-off").is_hidden()
                shown.page.wait_for_timeout(300)
            shown.page.wait_for_selector("#cut-off", state="visible")
    finally:
        world.close()
