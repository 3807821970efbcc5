# SPDX-License-Identifier: MIT
"""One time for the whole of a request, wherever a server is slow."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from keeper import wire as wires
from keeper.wire import Answer, Post, Trouble, Wire

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nRetry-After: 7\r\nConnection: close\r\n\r\n[]"
KEPT_OPEN = ANSWER.replace(b"Connection: close\r\n", b"")
BODY = b"{}"


class Raw:
    """Accepts connections, reads one request from each and writes bytes as a test says."""

    def __init__(self, write):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.ended = threading.Event()
        self._write = write
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection):
        with connection:
            try:
                read_request(connection)
                self._write(connection, self.ended)
            except OSError:
                pass

    def close(self):
        self.ended.set()
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()


def read_request(connection):
    """Read a whole request: a connection closed with bytes unread is reset."""
    request = b""
    while not request.endswith(BODY):
        part = connection.recv(65_536)
        if not part:
            raise ConnectionError("closed by the keeper")
        request += part


def trickle(content):
    def write(connection, ended):
        for byte in content:
            connection.sendall(bytes([byte]))
            if ended.wait(0.1):
                return

    return write


def hang(connection, ended):
    ended.wait()


def endless(connection, ended):
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not ended.is_set():
        connection.sendall(b"10000\r\n" + b"x" * 65_536 + b"\r\n")


def chunks(connection, ended):
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not ended.wait(0.1):
        connection.sendall(b"1\r\nx\r\n")


@pytest.fixture
def wire():
    wire = Wire()
    yield wire
    wire.close()


@pytest.fixture
def serve():
    servers = []

    def serve(write):
        servers.append(Raw(write))
        return servers[-1].url

    yield serve
    for server in servers:
        server.close()


def post(wire, *urls, secs=0.5, enough=None, grace=5.0):
    posts = [Post(url=url, body=BODY, secs=secs) for url in urls]
    return wire.post_all(posts, len(urls) if enough is None else enough, grace)


@pytest.mark.parametrize(
    "write",
    [hang, trickle(HEAD), trickle(b"HTTP/1.1 200 OK\r\n" + b"X-Y: z\r\n" * 50), chunks],
    ids=["silent", "status line and body", "headers", "chunks"],
)
def test_post__slow_anywhere__ends_in_its_time(wire, serve, write):
    """A time-out of a socket starts again with each of these bytes."""
    url = serve(write)
    started = time.monotonic()
    assert post(wire, url) == [Trouble.SILENT]
    assert time.monotonic() - started < 1.5


def test_post__good__body_and_headers(wire, serve):
    url = serve(lambda connection, ended: connection.sendall(ANSWER))
    assert post(wire, url) == [Answer(status=200, body=b"[]", retry_after="7")]


def test_post__nobody_listens__unreached(wire):
    assert post(wire, "http://127.0.0.1:9") == [Trouble.UNREACHED]


@pytest.mark.parametrize("content", [b"", b"garbage\r\n\r\n", HEAD + b"cut"])
def test_post__broken_answer__told_so(wire, serve, content):
    url = serve(lambda connection, ended: connection.sendall(content))
    assert post(wire, url) == [Trouble.BROKEN]


def test_post__kept_connection_closed_as_it_is_used__once_more(wire, serve):
    """A server with a short memory of idle connections is no broken node."""

    def write(connection, ended):
        connection.sendall(KEPT_OPEN)
        read_request(connection)

    url = serve(write)
    for _ in range(3):
        assert isinstance(post(wire, url)[0], Answer)


def test_post__not_repeatable__never_twice(wire, serve):
    """Whether a transaction is with a node is the keeper's to find out."""
    connections = []

    def write(connection, ended):
        connections.append(connection)
        connection.sendall(KEPT_OPEN)
        read_request(connection)

    url = serve(write)
    assert isinstance(post(wire, url)[0], Answer)
    once = Post(url=url, body=BODY, secs=0.5, repeatable=False)
    assert wire.post_all([once], 1, 0.0) == [Trouble.BROKEN]
    assert len(connections) == 1


def test_post__endless_answer__is_cut(wire, serve, monkeypatch):
    monkeypatch.setattr(wires, "MAX_ANSWER_BYTES", 10**6)
    started = time.monotonic()
    assert post(wire, serve(endless), secs=20.0) == [Trouble.BROKEN]
    assert time.monotonic() - started < 10.0


def test_post_all__enough_have_answered__the_others_have_the_grace(wire, serve):
    good = serve(lambda connection, ended: connection.sendall(ANSWER))
    started = time.monotonic()
    first, second = post(wire, serve(hang), good, secs=5.0, enough=1, grace=0.2)
    assert time.monotonic() - started < 2.0
    assert first is Trouble.SLOW
    assert isinstance(second, Answer)


def test_post__from_many_threads__each_its_own(wire, serve):
    url = serve(lambda connection, ended: connection.sendall(ANSWER))
    found = []
    threads = [
        threading.Thread(target=lambda: found.extend(post(wire, url, secs=10.0))) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status for answer in found] == [200] * 20


def test_post__url_is_not_shown():
    assert "SECRET" not in repr(Post(url="http://h/SECRET", body=b"", secs=1.0))


def test_close__twice__ends_the_thread(serve):
    wire = Wire()
    post(wire, serve(hang), secs=0.1)
    wire.close()
    wire.close()
    assert not wire._thread.is_alive()
