"""What is no proper HTTP/1.1 message is refused, and never taken for two (RFC 9112 sections 6.3 and 11.2: request smuggling)."""

from __future__ import annotations

import socket
import time
import uuid

import pytest

from tests.support.server import Server

SMUGGLED = b"GET /api/v1/smuggled HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"


def exchanged(server: Server, *parts: bytes, pause: float = 0.0) -> bytes:
    """Everything the server answers until it closes the connection or has been silent for two seconds."""
    answer = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        try:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
            connection.settimeout(2)
            while chunk := connection.recv(65536):
                answer += chunk
        except (TimeoutError, ConnectionError):
            pass
    return answer


def statuses(answer: bytes) -> list[int]:
    """The status of each answer in it."""
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]


def post(*headers: bytes, body: bytes = b"") -> bytes:
    """A POST with these header lines as they are."""
    return b"\r\n".join([b"POST /rest/v1/rpc/none HTTP/1.1", b"host: 127.0.0.1", b"content-type: application/json", *headers, b"", body])


CHUNKED = b"0\r\n\r\n" + SMUGGLED
AMBIGUOUS = {
    "length and chunked": post(b"content-length: 5", b"transfer-encoding: chunked", body=CHUNKED),
    "chunked and length": post(b"transfer-encoding: chunked", b"content-length: 5", body=CHUNKED),
    "two lengths": post(b"content-length: 0", b"content-length: %d" % len(SMUGGLED), body=SMUGGLED),
    "a list of lengths": post(b"content-length: 0, %d" % len(SMUGGLED), body=SMUGGLED),
    "length with a sign": post(b"content-length: +0", body=SMUGGLED),
    "length in hexadecimal": post(b"content-length: 0x0", body=SMUGGLED),
    "chunked twice": post(b"transfer-encoding: chunked", b"transfer-encoding: chunked", body=CHUNKED),
    "chunked, then something": post(b"transfer-encoding: chunked, identity", body=CHUNKED),
    "an unknown coding": post(b"transfer-encoding: xchunked", body=CHUNKED),
    "a vertical tab": post(b"transfer-encoding: \x0bchunked", body=CHUNKED),
    "space before the colon": post(b"transfer-encoding : chunked", body=CHUNKED),
    "folded": post(b"transfer-encoding:\r\n chunked", body=CHUNKED),
    "a folded header": post(b"x-a: b\r\n c", b"content-length: 0"),
    "a bare CR": post(b"x-a: b\rcontent-length: 5", b"content-length: 0"),
    "an odd size of a chunk": post(b"transfer-encoding: chunked", body=b"0x1\r\na\r\n0\r\n\r\n" + SMUGGLED),
    "a size beyond 64 bits": post(b"transfer-encoding: chunked", body=b"1" + b"0" * 16 + b"\r\na\r\n0\r\n\r\n" + SMUGGLED),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_no_second_request_is_smuggled(server: Server, name: str) -> None:
    """One refusal and the end of the connection: what follows is never answered, or logged, as a request."""
    path = f"/api/v1/{uuid.uuid4().hex[:8]}"  # as long as the placeholder, so that lengths stay true
    answer = exchanged(server, AMBIGUOUS[name].replace(b"/api/v1/smuggled", path.encode()))
    assert len(statuses(answer)) <= 1, answer
    assert all(400 <= status < 502 for status in statuses(answer)), answer
    assert path not in server.log
    assert server.get("/health", key=None).status_code == 200


def test_twin_without_normalise_takes_it_for_two(twin: Server) -> None:
    """The control of the test above where the parser is lenient: two answers when the line is gone."""
    request = AMBIGUOUS["chunked twice"].replace(b"host: ", b"x-twin-without: Normalise\r\nhost: ", 1)
    assert len(statuses(exchanged(twin, request))) == 2
    assert len(statuses(exchanged(twin, AMBIGUOUS["chunked twice"]))) == 1


NAMES = {
    "space": b"x a: b",
    "nul": b"x\0a: b",
    "non-ascii": "x-ä: b".encode(),
    "empty": b": b",
    "no colon": b"xa",
    "nul in the value": b"x: a\0b",
}


@pytest.mark.parametrize("name", NAMES)
def test_an_odd_header_is_refused(server: Server, name: str) -> None:
    """400, by the parser."""
    assert statuses(exchanged(server, b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n" + NAMES[name] + b"\r\n\r\n")) in ([400], [])


LARGE = {
    "a header of a megabyte": b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\nx-a: " + b"a" * 2**20 + b"\r\n\r\n",
    "a path of a megabyte": b"GET /" + b"a" * 2**20 + b" HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n",
    "a query of 100 kB": b"GET /rest/v1/x?a=" + b"a" * 100_000 + b" HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n",
}


@pytest.mark.parametrize("name", LARGE)
def test_what_is_too_large_is_refused(server: Server, name: str) -> None:
    """400, 414 or 431, or the connection is closed; the next one is served."""
    found = statuses(exchanged(server, LARGE[name]))
    assert set(found) <= {400, 414, 431}, found
    assert len(found) <= 1
    assert server.get("/health", key=None).status_code == 200


def test_requests_in_one_write_are_answered_in_order(server: Server) -> None:
    """Pipelining: three answers, each to its request."""
    paths = (b"/health", b"/no/such/path", b"/health")
    answer = exchanged(server, b"".join(b"GET " + path + b" HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n" for path in paths))
    assert statuses(answer) == [200, 404, 200]


def test_a_body_is_asked_for_only_where_it_may_come(server: Server) -> None:
    """Expect: 100-continue: a body that is too large by its length is refused without being asked for."""
    head = post(b"expect: 100-continue", b"content-length: 999999999", b"apikey: " + server.anon_key.encode())
    assert statuses(exchanged(server, head)) == [413]


def test_a_body_in_small_slow_chunks_is_read(server: Server) -> None:
    """Each chunk of one byte is counted and the call is answered as if it had come at once."""
    head = post(b"transfer-encoding: chunked", b"apikey: " + server.anon_key.encode())
    assert statuses(exchanged(server, head, *[b"1\r\n%c\r\n" % byte for byte in b"{}"], b"0\r\n\r\n", pause=0.05)) == [404]


def test_ten_thousand_parts_are_refused(server: Server) -> None:
    """A form of 10,000 parts where a form is read: a 4xx at once."""
    part = b'--b\r\ncontent-disposition: form-data; name="a"\r\n\r\nx\r\n'
    answer = server.post(
        "/api/v1/auth/saml/acs", key=None, content=part * 10_000 + b"--b--\r\n", headers={"content-type": "multipart/form-data; boundary=b"}
    )
    assert 400 <= answer.status_code < 500, answer.text
