# SPDX-License-Identifier: MIT
"""A deployed system on a real node with the keeper's command line over it, and a counting proxy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from eth_account import Account

from keeper.local_node import TEST_MNEMONIC

HEDGEVAULT = Path(sys.executable).with_name("hedgevault")
KEY_ENV = "HEDGEVAULT_TEST_KEY"
NIGHTLY = pytest.mark.skipif(
    os.environ.get("HYPOTHESIS_PROFILE") != "nightly",
    reason="takes long: HYPOTHESIS_PROFILE=nightly",
)


def keeper_key() -> str:
    Account.enable_unaudited_hdwallet_features()
    return Account.from_mnemonic(TEST_MNEMONIC, account_path="m/44'/60'/0'/0/1").key.hex()


class Proxy:
    """Forwards JSON-RPC, counts HTTP requests by their methods, and can interfere."""

    def __init__(self, url: str) -> None:
        self.methods: list[tuple[str, ...]] = []
        # What to do: nothing, "drop", "lose the answer", or make an answer of the node's.
        self.meddle: Callable[[tuple[str, ...]], Any] = lambda methods: None
        outer, session = self, requests.Session()

        def forward(body):
            return session.post(url, data=body, headers={"Content-Type": "application/json"})

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else each answer waits 40 ms for an acknowledgement

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                asked = json.loads(body)
                calls = asked if isinstance(asked, list) else [asked]
                methods = tuple(call["method"] for call in calls)
                outer.methods.append(methods)
                order = outer.meddle(methods)
                if order == "drop":
                    self.close_connection = True
                    self.connection.close()
                    return
                if callable(order):
                    status, content, *headers = order(lambda: forward(body))
                    self._answer(status, content, **dict(*headers))
                    return
                answer = forward(body)
                if order == "lose the answer":
                    self.close_connection = True
                    self.connection.close()
                    return
                self._answer(answer.status_code, answer.content)

            def _answer(self, status, content, **headers):
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args):
                pass

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, request, client_address):
                pass

        self._session = session
        self._server = lambda port: Quiet(("127.0.0.1", port), Handler)
        self._listen(0)
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def _listen(self, port: int) -> None:
        self._http = self._server(port)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def _stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @contextmanager
    def down(self) -> Iterator[None]:
        """Refuse connections; those that are there stay."""
        self._stop()
        try:
            yield
        finally:
            self._listen(self._http.server_port)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._stop()
        self._session.close()

    def take(self) -> list[tuple[str, ...]]:
        """Return the requests since the last call."""
        taken, self.methods = self.methods, []
        return taken

    def sends(self) -> int:
        return Counter(name for methods in self.methods for name in methods)[
            "eth_sendRawTransaction"
        ]


class Desk:
    """One operator: a configuration file and the command line."""

    def __init__(self, world, folder: Path, url: str | None = None) -> None:
        self.world, self.folder = world, folder
        self.path = folder / "hedgevault.toml"
        self.write(url or world.node.url)

    def write(
        self,
        url: str,
        *,
        chain: str = 'clock = "head"',
        more: str = "",
        chain_id: int = 0,
        deployment: bool = False,
    ) -> None:
        """Write the configuration; a node that mines on demand lives in a time of its own."""
        record = self.world.folder / f"{self.world.node.chain_id}.json"
        contracts = json.loads(record.read_text())["contracts"]
        number = chain_id or self.world.node.chain_id
        lens, vault = (contracts[name]["address"] for name in ("VaultLens", "HedgeVault"))
        by_hand = f'lens = "{lens}"\n{chain}\n[[vaults]]\naddress = "{vault}"\n'
        self.path.write_text(
            (f'deployment = "{record}"\n' if deployment else "")
            + f'[chain]\nrpc_url = "{url}"\nchain_id = {number}\n'
            + (f"{chain}\n" if deployment else by_hand)
            + f'[signer]\nkey_env = "{KEY_ENV}"\n{more}\n'
        )

    @property
    def journal(self) -> Path:
        return self.folder / "hedgevault.sqlite"

    def environment(self) -> dict[str, str]:
        return {**os.environ, KEY_ENV: keeper_key()}

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(HEDGEVAULT), *arguments, "--config", str(self.path)],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    @contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Start a command; it ends with the block at the latest."""
        process = subprocess.Popen(
            [str(HEDGEVAULT), *arguments, "--config", str(self.path)],
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()


@contextmanager
def signer_process(kind: str) -> Iterator[str]:
    """Run a signer that has the keeper's key, see `tests.signer_process`; yield its URL."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.signer_process", kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    ) as running:
        running.stdin.write(f"{keeper_key()}\n")
        running.stdin.flush()
        try:
            yield f"http://user:s3cr3t-word@127.0.0.1:{running.stdout.readline().strip()}/"
        finally:
            running.kill()
