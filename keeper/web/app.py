# SPDX-License-Identifier: MIT
"""
The dashboard's pages over HTTP.

Each page is made whole on the server from one `Seen`; a script swaps in a newer one when the
server says that there is one. Without scripts the pages still say everything.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Final

import jinja2
from eth_utils.address import is_hex_address
from fastapi import FastAPI, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from keeper import __version__
from keeper.alerts import Key, Standing
from keeper.errors import Fault, KeeperError
from keeper.journal import DecisionRow, Tx
from keeper.snapshot import Address
from keeper.web.histories import Histories
from keeper.web.lookups import Lookups
from keeper.web.seen import Held, Seen
from keeper.web.shield import Shield
from keeper.web.view.charts import charts, columns, table
from keeper.web.view.decision import Record, audit_record, decision_page
from keeper.web.view.decisions import KINDS, DecisionLine, decision_lines
from keeper.web.view.depositor import has_anything, position
from keeper.web.view.frame import status
from keeper.web.view.health import Recorded, Terms, health_page
from keeper.web.view.overview import overview
from keeper.web.view.vault import vault_page
from keeper.web.view.venue import AccountsPart, accounts_part, using, venue_page, venues
from keeper.web.watcher import Watcher
from keeper.words import LEVEL_WORDS, Remark, short

HERE: Final = Path(__file__).parent
PAGE_ROWS: Final = 50  # lines of a list of decisions
FEW_ROWS: Final = 5  # of a list on another page
READ_ROWS: Final = 400  # decisions read for a page of lines, most of which stand for several
HEALTH_TICKS: Final = 200
HEALTH_TXS: Final = 20
MOST_DEPOSITS: Final = 25  # vaults that are asked for one depositor
BEAT_SECS: Final = 15.0  # between two signs of life of an event stream
NOTICE_SECS: Final = 0.05  # between two looks whether there is something new
NAVIGATION: Final = (
    ("/", "Overview"),
    ("/decisions", "Decisions"),
    ("/depositors", "Depositors"),
    ("/venues", "Venues"),
    ("/keeper", "Keeper"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """
    Everything that the pages are made from.

    Attributes
    ----------
    own_words : callable
        Asks the keeper's own endpoints how it is.
    standing : callable
        Returns the alerts that the keeper has told and that are not over.
    hide : callable
        Takes secrets out of texts.
    hosts : sequence of str
        Names under which the dashboard may be asked for, beside the loopback ones.
    """

    watcher: Watcher
    lookups: Lookups
    terms: Terms
    own_words: Callable[[], Sequence[Remark]]
    standing: Callable[[], Mapping[Key, Standing]]
    hide: Callable[[str], str]
    hosts: Sequence[str] = ()
    wall: Callable[[], float] = time.time
    histories: Histories = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "histories", Histories(self.watcher.journal))


class NotHere(HTTPException):
    """There is no such thing; the page says so."""

    def __init__(self, words: str) -> None:
        super().__init__(HTTPStatus.NOT_FOUND, words)


def create_app(desk: Desk) -> FastAPI:
    """Return the application."""
    app = FastAPI(title="Hedge vault", openapi_url=None, docs_url=None, redoc_url=None)
    app.add_middleware(Shield, hosts=tuple(desk.hosts))
    app.mount("/static", _Assets(directory=HERE / "static"), name="static")
    pages = _Pages(desk)
    for path, page in pages.routes().items():
        app.add_api_route(path, page, methods=["GET", "HEAD"], response_class=HTMLResponse)
    app.add_api_route("/events", pages.events, methods=["GET"])
    app.add_exception_handler(HTTPException, pages.refusal)
    app.add_exception_handler(KeeperError, pages.trouble)
    app.add_exception_handler(Exception, pages.mistake)
    return app


class _Assets(StaticFiles):
    """Files of the package; a new version has new addresses, so they may be kept."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["cache-control"] = "max-age=31536000, immutable"
        return response


class _Pages:
    """One method a page; FastAPI calls them in threads of its own."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._stamp = f"{__version__}-{int(desk.wall())}"
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            finalize=_unbroken,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals |= {
            "levels": LEVEL_WORDS,
            "navigation": NAVIGATION,
            "short": short,
            "stamp": self._stamp,
        }

    def routes(self) -> dict[str, Callable[..., Any]]:
        """Return the pages by their paths."""
        return {
            "/": self.overview,
            "/vaults/{address}": self.vault,
            "/decisions": self.decisions,
            "/decisions/{wanted}": self.decision,
            "/depositors": self.depositors,
            "/depositors/{address}": self.depositor,
            "/venues": self.venues,
            "/venues/{address}": self.venue,
            "/keeper": self.keeper,
        }

    # Pages

    def overview(self, request: Request) -> Response:
        """All vaults, and what the keeper did last."""
        seen = self._seen()
        lines, fault = self._lines(kinds=KINDS["acted"][1], limit=FEW_ROWS)
        page = overview(seen)
        return self._page(
            request, "overview", "Overview", seen, page=page, lines=lines, fault=fault
        )

    def vault(self, request: Request, address: str) -> Response:
        """One vault."""
        seen = self._seen()
        held = self._held(seen, address)
        tokens, vault = seen.tokens(held), held.snapshot.vault.vault
        points, chart_fault = [], ""
        try:
            points = self._desk.histories.points(vault)
        except KeeperError as fault:
            chart_fault = str(fault)
        drawn = charts(points, tokens)
        lines, _ = self._lines(vault=vault, kinds=KINDS["acted"][1], limit=FEW_ROWS)
        return self._page(
            request, "vault", f"Vault {short(vault)}", seen,
            page=vault_page(seen, held), charts=drawn, columns=columns(points, drawn),
            table=table(points, drawn), chart_fault=chart_fault, lines=lines,
        )  # fmt: skip

    def decisions(
        self,
        request: Request,
        vault: str = "",
        kind: str = "acted",
        before: Annotated[int | None, Query(ge=1, le=2**53)] = None,
        find: str = "",
    ) -> Response:
        """Every decision, newest first, a page at a time; `find` leads to one of them."""
        if find.strip():
            return RedirectResponse(f"/decisions/{_word(find)}", HTTPStatus.SEE_OTHER)
        seen = self._seen()
        chosen = _address(vault) if vault else None
        kinds = KINDS.get(kind, KINDS["acted"])[1]
        lines, fault = self._lines(vault=chosen, kinds=kinds, before=before, limit=PAGE_ROWS)
        return self._page(
            request, "decisions", "Decisions", seen,
            lines=lines, fault=fault, kind=kind if kind in KINDS else "acted", kinds=KINDS,
            vault=chosen or "", vaults=list(seen.vaults), before=before,
            older=lines[-1].last if len(lines) >= PAGE_ROWS else None,
        )  # fmt: skip

    def decision(self, request: Request, wanted: str) -> Response:
        """One decision with its sum, plan, transaction and audit record."""
        seen, journal = self._seen(), self._desk.watcher.journal()
        found = journal.find_decisions(wanted)
        if not found:
            raise NotHere(f"The journal has no decision {wanted[:80]}.")
        if len({row.decision_id for row in found}) > 1:
            raise NotHere(f"{wanted[:80]} fits several decisions: give more digits.")
        row = found[-1]
        vault = row.snapshot.vault.vault
        tokens = seen.tokens(seen.vaults.get(vault) or Held(snapshot=row.snapshot, risk=None))
        tx = next(iter(journal.transactions_of([row.id])[-1:]), None)
        later = None
        if tx is not None and tx.block_number is not None:
            later = journal.since(vault, tx.block_number)
        steps = journal.step_times(tx) if tx is not None else []
        page = decision_page(row, tokens, tx, steps, later)
        record, fault = self._record(row, tx, tokens)
        return self._page(
            request, "decision", f"Decision {row.id}", seen,
            page=page, record=record, record_fault=fault, vault=vault,
        )  # fmt: skip

    def depositors(self, request: Request, address: str = "") -> Response:
        """Ask for an address."""
        if address.strip():
            return RedirectResponse(f"/depositors/{_word(address)}", HTTPStatus.SEE_OTHER)
        return self._page(request, "depositors", "Depositors", self._seen())

    def depositor(self, request: Request, address: str) -> Response:
        """What an address has in the vaults."""
        seen, owner = self._seen(), _address(address)
        block = seen.block.number if seen.block else 0
        positions, faults = [], []
        for held in list(seen.vaults.values())[:MOST_DEPOSITS]:
            vault = held.snapshot.vault
            try:
                holding = self._desk.lookups.holding(vault, owner, block)
            except KeeperError as fault:
                faults.append(f"{short(vault.vault)}: {fault}")
                continue
            if has_anything(seen, vault, holding):
                positions.append(position(seen, held, holding))
        return self._page(
            request, "depositor", f"Depositor {short(owner)}", seen,
            owner=owner, positions=positions, faults=faults,
            left_out=max(0, len(seen.vaults) - MOST_DEPOSITS),
        )  # fmt: skip

    def venues(self, request: Request) -> Response:
        """Every venue that a vault may use."""
        seen = self._seen()
        return self._page(request, "venues", "Venues", seen, lines=venues(seen))

    def venue(self, request: Request, address: str) -> Response:
        """One venue with its accounts."""
        seen, wanted = self._seen(), _address(address)
        used = using(seen, wanted)
        if used is None:
            raise NotHere(f"No vault of this dashboard uses a venue {wanted}.")
        held, venue = used
        tokens = seen.tokens(held)
        accounts, fault = self._accounts(seen, wanted, held)
        return self._page(
            request, "venue", f"Venue {short(wanted)}", seen,
            page=venue_page(held, venue, tokens), accounts=accounts, accounts_fault=fault,
        )  # fmt: skip

    def keeper(self, request: Request) -> Response:
        """How the keeper is."""
        desk, seen = self._desk, self._seen()
        try:
            journal = desk.watcher.journal()
            recorded = Recorded(
                ticks=journal.newest_ticks(HEALTH_TICKS),
                txs=journal.newest_transactions(HEALTH_TXS),
                counts=journal.counts(),
                spent=journal.spent(seen.now),
                upkeep_spent=journal.spent(seen.now, upkeep=True),
            )
        except KeeperError:
            recorded = Recorded()
        page = health_page(
            seen, recorded, desk.terms, desk.own_words(), desk.standing(), desk.wall()
        )
        return self._page(request, "keeper", "Keeper", seen, page=page)

    # Events

    async def events(self, request: Request) -> StreamingResponse:
        """Say that there is something new, whenever there is."""
        return StreamingResponse(self._news(request), media_type="text/event-stream")

    async def _news(self, request: Request) -> AsyncIterator[str]:
        told, beat = -1, 0.0
        watcher = self._desk.watcher
        while not watcher.ending and not await request.is_disconnected():
            version, now = watcher.seen.version, time.monotonic()
            if version != told:
                told, beat = version, now
                yield f"event: seen\ndata: {version}\n\n"
            elif now - beat > BEAT_SECS:
                beat = now
                yield ": still here\n\n"
            await asyncio.sleep(NOTICE_SECS)

    # What goes wrong

    async def refusal(self, request: Request, error: Exception) -> Response:
        """Say in a page that there is no such thing."""
        code = error.status_code if isinstance(error, HTTPException) else HTTPStatus.NOT_FOUND
        words = str(error.detail) if isinstance(error, HTTPException) else ""
        said = words if isinstance(error, NotHere) else "There is no such page."
        return self._failure(request, code, "Not here", said)

    async def trouble(self, request: Request, error: Exception) -> Response:
        """Say in a page what of chain or journal cannot be read."""
        code = HTTPStatus.SERVICE_UNAVAILABLE
        return self._failure(request, code, "Not readable now", str(error))

    async def mistake(self, request: Request, error: Exception) -> Response:
        """Say in a page that the fault is ours; the log has the rest."""
        words = f"A mistake of the dashboard's own: {type(error).__name__}. Its log says more."
        return self._failure(request, HTTPStatus.INTERNAL_SERVER_ERROR, "A mistake", words)

    def _failure(self, request: Request, code: int, title: str, words: str) -> Response:
        seen, said = self._seen(), self._desk.hide(words)
        return self._page(request, "failure", title, seen, code=code, words=said)

    # Parts

    def _seen(self) -> Seen:
        return self._desk.watcher.seen

    def _held(self, seen: Seen, address: str) -> Held:
        wanted = _address(address)
        held = seen.vaults.get(wanted)
        if held is None:
            raise NotHere(f"This dashboard does not watch a vault {wanted}.")
        return held

    def _lines(
        self,
        *,
        limit: int,
        vault: Address | None = None,
        kinds: Sequence[str] = (),
        before: int | None = None,
    ) -> tuple[list[DecisionLine], str]:
        """Return lines, or why there are none."""
        try:
            journal = self._desk.watcher.journal()
            heads = journal.heads(vault=vault, kinds=kinds, before=before, limit=READ_ROWS)
            txs = journal.transactions_of([head.id for head in heads])
        except KeeperError as fault:
            return [], self._desk.hide(str(fault))
        return decision_lines(heads, txs)[:limit], ""

    def _record(self, row: DecisionRow, tx: Tx | None, tokens: Any) -> tuple[Record | None, str]:
        """Return what the chain says of a decision, or why it cannot be asked."""
        if tx is None or tx.tx_hash is None or tx.block_number is None:
            return None, ""
        try:
            events = self._desk.lookups.receipt_events(row.snapshot.vault, tx.tx_hash)
        except Fault as fault:
            return None, self._desk.hide(str(fault))
        return audit_record(events, row, tokens), ""

    def _accounts(self, seen: Seen, venue: Address, held: Held) -> tuple[AccountsPart | None, str]:
        books: dict[str, str] = {h.snapshot.vault.book: "vault" for h in seen.vaults.values()}
        try:
            read = self._desk.lookups.venue(venue, seen.block.number if seen.block else 0)
        except KeeperError as fault:
            return None, self._desk.hide(str(fault))
        return accounts_part(read, books, seen.tokens(held)), ""

    def _page(
        self, request: Request, template: str, title: str, seen: Seen, code: int = 200, **parts: Any
    ) -> Response:
        shown = status(seen, self._desk.wall())
        text = self._templates.get_template(f"{template}.html").render(
            title=title, path=request.url.path, status=shown, **parts
        )
        return HTMLResponse(text, code)


def _unbroken(value: Any) -> Any:
    """Return a text whose numbers do not part from their per cent sign at the end of a line."""
    return value.replace(" %", "\u00a0%") if isinstance(value, str) else value


def _address(text: str) -> Address:
    if not is_hex_address(text) or not text.startswith(("0x", "0X")):
        raise NotHere(f"{text[:80]} is not an address: 0x and 40 hexadecimal digits.")
    return Address(text.lower())


def _word(text: str) -> str:
    """Return what somebody typed so that it fits a path."""
    return "".join(char for char in text.strip() if char.isalnum())[:80] or "nothing"
