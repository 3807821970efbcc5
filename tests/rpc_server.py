# SPDX-License-Identifier: MIT
"""Nodes in threads that answer as told, and misbehave as told."""

from __future__ import annotations

import json
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from keeper.chain import Chain, Node
from keeper.deadline import Deadline
from tests.keeper_world import ETHER, KEEPER, NOW, VAULT, snapshot, venue

STATE = snapshot(venue(assets=35 * ETHER, delta=-98 * ETHER), idle_assets=65 * ETHER)
LENS = "0x" + "11" * 20
GENESIS = "0x" + "e0" * 32


def block_hash(number, fork=""):
    return "0x" + fork + f"{number:0{64 - len(fork)}x}"


def block(number, at=NOW, fork=""):
    return {
        "number": hex(number), "timestamp": hex(at), "hash": block_hash(number, fork),
        "parentHash": block_hash(number - 1, fork), "baseFeePerGas": "0x1",
        "gasLimit": "0x1c9c380",
    }  # fmt: skip


def lens_answer(number=100, at=NOW, states=(STATE,)):
    head = b"".join(n.to_bytes(32, "big") for n in (number, at, 96, len(states)))
    return "0x" + (head + b"".join(state.words for state in states)).hex()


class Server:
    """
    A node of one vault at `head`.

    `answers` overrules by method; `status`, `body` and `headers` are those of a broken one;
    `hang` delays an answer, `trickle` sends a byte each so many seconds, `drop` ends the
    connection without an answer.
    """

    def __init__(self):
        self.head, self.at, self.fork, self.genesis = 100, NOW, "", GENESIS
        self.state, self.chain_id, self.nonce = STATE, 31337, 5
        self.answers = {}
        self.status, self.body, self.headers = 200, None, {}
        self.hang, self.trickle, self.drop = 0.0, 0.0, False
        self._standard = {
            "eth_chainId": self._own_chain_id,
            "eth_getBlockByNumber": self.block_by_number,
            "eth_getBlockByHash": self.block_by_hash,
            "eth_getTransactionCount": self._count,
            "eth_getBalance": self._balance,
            "eth_call": self.call,
            "eth_estimateGas": self._estimate,
            "eth_blockNumber": self._block_number,
        }
        self.requests = []
        self.before = lambda number: None
        self._ended = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append(asked if isinstance(asked, list) else [asked])
                outer.before(len(outer.requests))
                outer._ended.wait(outer.hang)
                if outer.drop:
                    self.close_connection = True
                    return
                body = outer.body if outer.body is not None else json.dumps(outer.reply(asked))
                self.send_response(outer.status)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self._write(body.encode())

            def _write(self, body):
                if not outer.trickle:
                    self.wfile.write(body)
                    return
                for i in range(len(body)):
                    self.wfile.write(body[i : i + 1])
                    self.wfile.flush()
                    if outer._ended.wait(outer.trickle):
                        return

            def log_message(self, *args):
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass  # a client that lost patience

        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()
        self.place = f"127.0.0.1:{self.http.server_port}"
        self.url = f"http://{self.place}"

    def reply(self, asked):
        calls = asked if isinstance(asked, list) else [asked]
        out = []
        for call in calls:
            answer = self.answers.get(call["method"], self._standard.get(call["method"]))
            if callable(answer):
                answer = answer(call["params"])
            kind = "error" if isinstance(answer, dict) and "code" in answer else "result"
            out.append({"jsonrpc": "2.0", "id": call["id"], kind: answer})
        return out if isinstance(asked, list) else out[0]

    # What a node of this head says

    def _own_chain_id(self, params):
        return hex(self.chain_id)

    def block_by_number(self, params):
        number = self.head if params[0] == "latest" else int(params[0], 16)
        if number == 0:
            return {"hash": self.genesis}
        return block(number, self.at, self.fork) if number <= self.head else None

    def block_by_hash(self, params):
        number = next((n for n in range(self.head + 1) if self._hash(n) == params[0]), None)
        return None if number is None else block(number, self.at, self.fork)

    def _hash(self, number):
        return block_hash(number, self.fork)

    def _count(self, params):
        return hex(self.nonce)

    def _balance(self, params):
        return "0x10"

    def call(self, params):
        tag = params[1]
        number = self.head
        if isinstance(tag, dict):
            number = int(self.block_by_hash([tag["blockHash"]])["number"], 16)
        elif tag != "latest":
            number = int(tag, 16)
        count = int(params[0]["data"][2 + 8 + 64 : 2 + 8 + 128], 16)
        return lens_answer(number, self.at, (self.state,) * count)

    def _estimate(self, params):
        return "0x30d40"

    def _block_number(self, params):
        return hex(self.head)

    def calls(self, method):
        """Return the parameters of all calls of a method."""
        return [c["params"] for asked in self.requests for c in asked if c["method"] == method]

    def close(self):
        self._ended.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


class Log:
    def __init__(self):
        self.lines = []

    def _line(self, event, **fields):
        self.lines.append({"event": event} | fields)

    info = warning = error = _line

    def rests(self):
        return [(line["node"], line["error"]) for line in self.lines if "again" in str(line)]


class Nodes:
    """Servers and a chain over them, with a clock that the test turns."""

    def __init__(self, count, **changes):
        self.servers = [Server() for _ in range(count)]
        self.log, self.now = Log(), 1_000.0
        self.open(**changes)

    def open(self, **changes):
        urls = [server.url for server in self.servers]
        node = {"rpc_url": urls[0], "other_rpc_urls": tuple(urls[1:]), "chain_id": 31337}
        node |= {"lens": LENS, "timeout_secs": 2.0, "attempts": 1}
        self.chain = Chain(
            Node(**(node | changes)), wall=lambda: NOW + 5.0, jitter=random.Random(1),
            monotonic=lambda: self.now, log=self.log,
        )  # fmt: skip
        return self

    def read(self, watched=()):
        return self.chain.read([VAULT], KEEPER, list(watched), Deadline(10.0))

    def asked(self):
        """Return how many requests each node got since the last call."""
        counts = [len(server.requests) for server in self.servers]
        for server in self.servers:
            server.requests.clear()
        return counts

    def close(self):
        self.chain.close()
        for server in self.servers:
            server.close()
