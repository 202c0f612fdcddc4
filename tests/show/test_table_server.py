"""The server behind the table: every wrong request is answered, none changes the game, and no move is played twice."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from velodrome.show.hearts_table import Sitter, Table
from velodrome.show.table_server import HOST, MOST_BYTES, TableServer

BOT = Sitter("the rule bot", "rule")


@pytest.fixture
def server() -> Iterator[TableServer]:
    with TableServer(Table(BOT, BOT, seed=1)) as one:
        thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield one
        one.shutdown()
        thread.join()


class Answer:
    """What came back, read to its end."""

    def __init__(self, response: http.client.HTTPResponse):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def document(self) -> dict[str, Any]:
        found = json.loads(self.body)
        assert isinstance(found, dict)
        return found


def ask(server: TableServer, method: str, word: str, body: Any = None, **headers: str | None) -> Answer:
    """A request below the secret path, or at `word` where that starts with a slash. A header of None is left out."""
    path = word if word.startswith("/") else f"/{server.secret}/{word}"
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    usual: dict[str, str | None] = {"Host": server.hosts[0], "Content-Type": "application/json"}
    usual |= {} if data is None else {"Content-Length": str(len(data))}
    connection = http.client.HTTPConnection(HOST, server.server_address[1], timeout=20)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in (usual | {name.replace("_", "-"): value for name, value in headers.items()}).items():
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders(data)
    answer = Answer(connection.getresponse())
    connection.close()
    return answer


def legal(server: TableServer, cards: int) -> list[str]:
    found: list[str] = ask(server, "GET", "table").document["legal"][:cards]
    return found


MISTAKES: dict[str, tuple[int, str, str, Any, dict[str, str | None]]] = {
    "no secret": (404, "GET", "/", None, {}),
    "another secret": (404, "GET", "/AAAAAAAAAAAAAAAAAAAAAA/table", None, {}),
    "no slash": (404, "GET", "/{secret}", None, {}),
    "an unknown word": (404, "GET", "nothing", None, {}),
    "a way out": (404, "GET", "../../etc/passwd", None, {}),
    "a question with more": (404, "GET", "table?seat=1", None, {}),
    "an unknown word to post to": (404, "POST", "nothing", {"number": 0}, {}),
    "to post a question": (405, "POST", "table", {"number": 0}, {}),
    "to post to the page": (405, "POST", "", {"number": 0}, {}),
    "to get a move": (405, "GET", "move", None, {}),
    "an unknown method": (501, "DELETE", "table", None, {}),
    "another host": (403, "GET", "table", None, {"Host": "attacker.example"}),
    "another port": (403, "GET", "table", None, {"Host": f"{HOST}:1"}),
    "no host": (403, "GET", "table", None, {"Host": None}),
    "another host for the page": (403, "GET", "", None, {"Host": "attacker.example"}),
    "another origin": (403, "POST", "move", {"number": 0, "cards": []}, {"Origin": "https://attacker.example"}),
    "a hidden origin": (403, "POST", "move", {"number": 0, "cards": []}, {"Origin": "null"}),
    "a form": (415, "POST", "move", b"number=0", {"Content-Type": "application/x-www-form-urlencoded"}),
    "no kind": (415, "POST", "move", {"number": 0, "cards": []}, {"Content-Type": None}),
    "no length": (411, "POST", "move", None, {}),
    "a length in words": (411, "POST", "move", b"{}", {"Content-Length": "two"}),
    "a length below zero": (411, "POST", "move", b"{}", {"Content-Length": "-2"}),
    "too much": (413, "POST", "move", b" " * (MOST_BYTES + 1), {}),
    "a length beyond all": (413, "POST", "move", b"{}", {"Content-Length": "9" * 5000}),
    "nothing": (400, "POST", "move", b"", {}),
    "no JSON": (400, "POST", "move", b"{number: 0}", {}),
    "no text": (400, "POST", "move", b"\xff\xfe\x00", {}),
    "deep JSON": (400, "POST", "move", b"[" * MOST_BYTES, {}),
    "a list": (400, "POST", "move", [0], {}),
    "no number": (400, "POST", "move", {"cards": ["QS"]}, {}),
    "a number in words": (400, "POST", "move", {"number": "0", "cards": ["QS"]}, {}),
    "yes for a number": (400, "POST", "move", {"number": False, "cards": ["QS"]}, {}),
    "no cards": (400, "POST", "move", {"number": 0}, {}),
    "cards in a row": (400, "POST", "move", {"number": 0, "cards": "QS"}, {}),
    "an unknown card": (400, "POST", "move", {"number": 0, "cards": ["1X"]}, {}),
    "a list for a card": (400, "POST", "move", {"number": 0, "cards": [["QS"]]}, {}),
    "an old number": (409, "POST", "move", {"number": -1, "cards": ["QS"]}, {}),
    "a number to come": (409, "POST", "move", {"number": 10**30, "cards": ["QS"]}, {}),
    "too few cards": (409, "POST", "move", {"number": 0, "cards": ["QS"]}, {}),
    "all cards": (409, "POST", "move", {"number": 0, "cards": ["QS"] * 100}, {}),
    "the next deal too early": (409, "POST", "deal", {"number": 0}, {}),
}


def test_mistakes_are_answered_in_a_line_and_change_nothing(server: TableServer) -> None:
    before = server.table.seen()
    for name, (status, method, word, body, headers) in MISTAKES.items():
        answer = ask(server, method, word.replace("{secret}", server.secret), body, **headers)
        assert answer.status == status, name
        assert answer.headers["Content-Type"] == "application/json"
        assert len(answer.document["error"]) > 3, name
        assert "\n" not in answer.document["error"]
        assert ("table" in answer.document) == (status == 409), name
        assert server.table.seen() == before, name


@pytest.mark.parametrize("raw", [b"\x16\x03\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"A" * 65_537])
def test_what_is_no_request_is_answered_as_well(server: TableServer, raw: bytes) -> None:
    with socket.create_connection((HOST, server.server_address[1]), timeout=20) as line:
        line.sendall(raw)
        line.shutdown(socket.SHUT_WR)
        said = b"".join(iter(lambda: line.recv(4096), b""))
    assert b'{"error": ' in said
    assert ask(server, "GET", "table").status == 200


@pytest.mark.parametrize("part", [b"POST /", b"POST /{secret}/move HTTP/1.1\r\nHost: {host}\r\nContent-Le"])
def test_who_hangs_up_in_mid_sentence_does_no_harm(
    server: TableServer, part: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    said = part.replace(b"{secret}", server.secret.encode()).replace(b"{host}", server.hosts[0].encode())
    with socket.create_connection((HOST, server.server_address[1]), timeout=20) as line:
        line.sendall(said)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset, not closed
    assert ask(server, "GET", "table").document["number"] == 0
    assert "Exception" not in capfd.readouterr().err


def test_the_page_may_fetch_nothing_from_elsewhere(server: TableServer) -> None:
    answer = ask(server, "GET", "")
    assert answer.status == 200
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "http" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert server.secret.encode() not in answer.body
    assert ask(server, "GET", "", Host=server.hosts[1]).body == answer.body


def test_it_listens_to_this_machine_alone(server: TableServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert len(server.secret) >= 20
    assert server.url == f"http://127.0.0.1:{server.server_address[1]}/{server.secret}/"


def test_a_deal_is_played_by_requests(server: TableServer) -> None:
    table = ask(server, "GET", "table").document
    while table["wanted"]:
        hint = ask(server, "GET", "hint").document
        assert hint["number"] == table["number"]
        cards = [each["choice"] for each in hint["cards"]]
        move = {"number": table["number"], "cards": cards}
        table = ask(server, "POST", "move", move, Origin=f"http://{server.hosts[0]}").document
    assert table["phase"] == "deal over"
    assert all(each["same"] for each in table["review"]["decisions"])
    assert ask(server, "GET", "hint").status == 409
    assert ask(server, "GET", "table").document == table
    assert ask(server, "POST", "deal", {"number": table["number"]}).document["dealt"] == 2


def test_a_move_that_is_sent_twice_is_played_once(server: TableServer) -> None:
    move = {"number": 0, "cards": legal(server, 3)}
    together = threading.Barrier(8)

    def send(_: int) -> Answer:
        together.wait()
        return ask(server, "POST", "move", move)

    with ThreadPoolExecutor(8) as tabs:
        answers = list(tabs.map(send, range(8)))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 7
    assert {answer.document.get("number", 1) for answer in answers} == {1}
    assert all(answer.document["table"]["number"] == 1 for answer in answers if answer.status == 409)
    assert server.table.number == 1


def test_a_tab_that_is_behind_is_told_how_the_game_stands(server: TableServer) -> None:
    old = {"number": 0, "cards": legal(server, 3)}
    assert ask(server, "POST", "move", old).status == 200
    late = ask(server, "POST", "move", old | {"cards": legal(server, 1)})
    assert late.status == 409
    assert "another tab" in late.document["error"]
    assert late.document["table"] == ask(server, "GET", "table").document
