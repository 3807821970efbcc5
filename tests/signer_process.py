# SPDX-License-Identifier: MIT
"""
A small signer, as a process: the wire of Web3Signer or Clef, over a key that it is given.

    python -m tests.signer_process web3signer|clef  <key on standard input>

What it is to do wrong stands in the query of the URL: `nonce=0x8` makes it sign something else than
it is asked; `reject=person` refuses, `key=hex` signs with another key, `hang=1` takes its time,
`raw=text` answers with that text.
"""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qsl, urlsplit

from eth_account import Account

NAMES = {
    "web3signer": ("eth_signTransaction", "eth_accounts"),
    "clef": ("account_signTransaction", "account_list"),
}
REFUSALS = {"person": "Request denied", "lines": "no\nway"}
FIELDS = {"chainId", "nonce", "to", "value", "data", "gas", "maxFeePerGas", "maxPriorityFeePerGas"}


class Signer:
    def __init__(self, kind, account):
        self.kind, self.account, self.changes = kind, account, {}
        self.sign, self.listed = NAMES[kind]

    def answer(self, call):
        if call["method"] == self.listed:
            return {"result": [self.account.address]}
        if call["method"] != self.sign:
            return {"error": {"code": -32601, "message": f"no method {call['method']}"}}
        if "hang" in self.changes:
            time.sleep(2)
        if "reject" in self.changes:
            return {"error": {"code": -32000, "message": REFUSALS[self.changes["reject"]]}}
        (asked,) = call["params"]
        if asked["from"].lower() != self.account.address.lower():
            return {"error": {"code": -32000, "message": "No signer for that address"}}
        raw = self.changes.get("raw") or self.signed(asked)
        return {"result": {"raw": raw, "tx": {}} if self.kind == "clef" else raw}

    def signed(self, asked):
        wanted = {name: asked[name] for name in FIELDS}
        wanted |= {name: value for name, value in self.changes.items() if name in FIELDS}
        wanted["to"] = bytes.fromhex(wanted["to"][2:])
        if "accessList" in self.changes:
            wanted["accessList"] = [{"address": asked["to"], "storageKeys": []}]
        if "legacy" in self.changes:
            del wanted["maxPriorityFeePerGas"]
            wanted["gasPrice"] = wanted.pop("maxFeePerGas")
        else:
            wanted["type"] = 2
        key = self.changes.get("key", self.account.key)
        return "0x" + bytes(Account.sign_transaction(wanted, key).raw_transaction).hex()


def main() -> None:
    signer = Signer(sys.argv[1], Account.from_key(sys.stdin.readline().strip()))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            signer.changes = changes = dict(parse_qsl(urlsplit(self.path).query))
            found = {"jsonrpc": "2.0", "id": call["id"], **signer.answer(call)}
            body = json.dumps(found).encode()
            self.send_response(int(changes.get("status", "200")))
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
