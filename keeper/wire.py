# SPDX-License-Identifier: MIT
"""
HTTP with one time for the whole of a request: name look-up, connection, every byte of the answer.

A time-out that starts again with each byte lets a node that trickles hold the keeper for ever.
aiohttp ends the whole request, so requests run on a loop in a thread of its own and callers wait
for them; asking several nodes at once needs no further threads.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import aiohttp

MAX_ANSWER_BYTES: Final = 256 * 2**20  # a long history of logs is one answer
KEPT_OPEN_SECS: Final = 120.0  # an idle connection; ticks come every 15 s
HEADERS: Final = {"Content-Type": "application/json"}


class Trouble(Enum):
    """Why there is no answer."""

    UNREACHED = "unreached"  # not a byte has left
    SILENT = "silent"  # the time is over
    SLOW = "slow"  # others were faster, and waited
    BROKEN = "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A request to make; the URL may hold a key."""

    url: str = field(repr=False)
    body: bytes
    secs: float  # for all of it
    delay_secs: float = 0.0  # to wait before, by our own rate limit
    repeatable: bool = True  # once more when a kept connection was closed; not what may act twice


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    retry_after: str | None = None


class Wire:
    """Makes HTTP requests for any thread; `close` ends what is under way."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._session: aiohttp.ClientSession | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="wire", daemon=True)
        self._thread.start()

    def post_all(
        self, posts: Sequence[Post], enough: int, grace_secs: float
    ) -> list[Answer | Trouble]:
        """
        Make requests at the same time.

        Parameters
        ----------
        enough : int
            After so many answers the others have `grace_secs` left.
        """
        asked = asyncio.run_coroutine_threadsafe(
            self._post_all(posts, enough, grace_secs), self._loop
        )
        return asked.result()  # each request ends by itself

    async def _post_all(
        self, posts: Sequence[Post], enough: int, grace_secs: float
    ) -> list[Answer | Trouble]:
        tasks = [asyncio.ensure_future(self._post(post)) for post in posts]
        waiting, answers = set(tasks), 0
        while waiting and answers < enough:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            answers += sum(isinstance(task.result(), Answer) for task in done)
        if waiting:
            _, waiting = await asyncio.wait(waiting, timeout=grace_secs)
        for task in waiting:
            task.cancel()
        if waiting:
            await asyncio.wait(waiting)
        return [Trouble.SLOW if task.cancelled() else task.result() for task in tasks]

    async def _post(self, post: Post) -> Answer | Trouble:
        await asyncio.sleep(post.delay_secs)
        try:
            async with asyncio.timeout(post.secs):
                return await self._answer_or_again(post)
        except TimeoutError:
            return Trouble.SILENT
        except aiohttp.ClientConnectorError:
            return Trouble.UNREACHED
        except (aiohttp.ClientError, OSError, ValueError):
            return Trouble.BROKEN

    async def _answer_or_again(self, post: Post) -> Answer:
        try:
            return await self._answer(post)
        except aiohttp.ServerDisconnectedError:  # it may have closed what was kept open
            if not post.repeatable:
                raise
            return await self._answer(post)

    async def _answer(self, post: Post) -> Answer:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT_OPEN_SECS),
                headers=HEADERS,
                timeout=aiohttp.ClientTimeout(total=None),  # the caller's is for all attempts
                trust_env=True,
            )
        async with self._session.post(
            post.url,
            data=post.body,
            allow_redirects=False,  # signed bytes go where the operator said, or nowhere
        ) as response:
            body = await _bounded(response)
            wait = response.headers.get("Retry-After")
            return Answer(status=response.status, body=body, retry_after=wait)

    def close(self) -> None:
        """Close connections and end the thread."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        if self._session is not None:
            await self._session.close()
        here = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not here]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    """Return the body; more than `MAX_ANSWER_BYTES` is no answer."""
    parts, size = [], 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            raise ValueError("answer too long")
    return b"".join(parts)
