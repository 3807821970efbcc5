# SPDX-License-Identifier: MIT
"""No key in a log or an alert, whatever the place it is quoted in."""

from __future__ import annotations

import pytest

from keeper.redaction import Redactor

KEY = "4f5d6e7a8b9c0d1e2f3a"
TOKEN = "TIiajkdnlazkcOXrIdevi7FQ"
SLACK = f"slack://T1JJ3T3L2/A1BRTD4JD/{TOKEN}/#risk"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"get https://node.example/v3/{KEY}: 401", "get https://node.example/*** 401"),
        (f"https://user:{KEY}@node.example:8545", "https://node.example:8545"),
        (f"wss://node.example?key={KEY}", "wss://node.example/***"),
        ("http://127.0.0.1:8545", "http://127.0.0.1:8545"),
        (f"sent to {SLACK}", "sent to slack://***"),
        (f"exceeded with url: /v3/{KEY} (x)", "exceeded with url: /*** (x)"),
        (f"key {'ab' * 32}", "key ***"),
        (f"tx 0x{'ab' * 32}", f"tx 0x{'ab' * 32}"),
        ("drift 120 bps", "drift 120 bps"),
    ],
)
def test_redactor__text__shows_no_key(text, shown):
    # a hash of the chain begins with 0x and is no secret
    assert Redactor()(text) == shown


def test_redactor__registered_secret__hidden_in_each_piece():
    hide = Redactor([SLACK, f"https://node.example/v3/{KEY}"])
    assert hide(f"refused {TOKEN} and A1BRTD4JD") == "refused *** and ***"
    assert hide(f"path /v3/{KEY}") == "path /v3/***"
    assert hide("node.example cannot be reached") == "node.example cannot be reached"


def test_redactor__host_of_a_webhook__is_no_secret():
    hide = Redactor(["json://127.0.0.1:8080/hooks/s3cr3t-t0ken"])
    assert hide("the node at 127.0.0.1:8545") == "the node at 127.0.0.1:8545"
    assert hide("no hook s3cr3t-t0ken") == "no hook ***"


def test_redactor__log_line__all_fields_also_nested():
    hide = Redactor([KEY])
    line = hide.line(None, "info", {"event": "x", "n": 3, "of": [{"at": KEY}], "why": f"<{KEY}>"})
    assert line == {"event": "x", "n": 3, "of": [{"at": "***"}], "why": "<***>"}
