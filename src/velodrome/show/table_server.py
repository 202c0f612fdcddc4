"""A small server for one person at a table of Hearts: one page, and what that page asks and does.

It listens on the loopback address and answers nobody else. The page is at a path that cannot be guessed; a request
that names another host, as a page elsewhere could make a browser send it, or that comes from another origin, is turned
away. What goes wrong is answered with a status and one line of JSON, and leaves the table as it was:

| request, below the secret path | answers |
| :-- | :-- |
| GET (nothing) | the page |
| GET table | what you see |
| GET hint | what the adviser would do |
| POST move `{"number": 7, "cards": ["QS"]}` | the table after it |
| POST deal `{"number": 7}` | the next deal |
"""

from __future__ import annotations

import json
import secrets
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from markupsafe import Markup

from velodrome import __version__
from velodrome.mistake import Mistake
from velodrome.show.hearts_table import CARD_NAMES, Table
from velodrome.show.report import environment, script_of

HOST = "127.0.0.1"
MOST_BYTES = 1024
"""No move is longer."""
PATIENCE_S = 10.0
"""How long a request may take to arrive."""
QUESTIONS = ("table", "hint")
MOVES = ("move", "deal")


class Refused(Exception):
    """A request that is turned away."""

    def __init__(self, status: HTTPStatus, says: str, **more: Any):
        super().__init__(says)
        self.status, self.document = status, {"error": says} | more


class TableServer(ThreadingHTTPServer):
    """Serves one table until it is closed. Requests come on threads of their own and take turns at the table."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, table: Table, port: int = 0):
        super().__init__((HOST, port), _Request)
        self.table, self.turn = table, threading.Lock()
        self.secret = secrets.token_urlsafe(16)
        self.page, self.policy = page()

    @property
    def hosts(self) -> tuple[str, ...]:
        """What a browser may call us."""
        return tuple(f"{name}:{self.server_address[1]}" for name in (HOST, "localhost"))

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{self.hosts[0]}/{self.secret}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that has hung up is no error of ours."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def page() -> tuple[bytes, str]:
    """The page, and the policy that lets it run its own script and fetch nothing from elsewhere."""
    script, digest = script_of("playing_cards.js", "play.js")
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'"
    )
    shown = {"title": "Hearts", "version": __version__, "policy": Markup(policy), "script": script}
    return environment().get_template("play.html").render(page=shown).lstrip().encode(), policy


class _Request(BaseHTTPRequestHandler):
    server: TableServer
    timeout = PATIENCE_S

    def do_GET(self) -> None:
        self._answer(QUESTIONS, MOVES)

    def do_POST(self) -> None:
        self._answer(MOVES, QUESTIONS)

    def _answer(self, own: tuple[str, ...], others: tuple[str, ...]) -> None:
        """Find what is asked for among this method's own words, and answer."""
        try:
            word = self._word()
            if word in others or (not word and self.command == "POST"):
                raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"{self.command} is not for this path")
            if not word:
                self._send(HTTPStatus.OK, self.server.page, "text/html; charset=utf-8")
                return
            if word not in own:
                raise Refused(HTTPStatus.NOT_FOUND, "there is nothing here")
            said = self._body() if self.command == "POST" else {}
            self._reply(HTTPStatus.OK, self._done(word, said))
        except Refused as refused:
            self._reply(refused.status, refused.document)

    def _word(self) -> str:
        """The path below the secret one, of a request that is meant for us."""
        if self.headers.get("Host") not in self.server.hosts:
            raise Refused(HTTPStatus.FORBIDDEN, "this server answers to its own address only")
        origin = self.headers.get("Origin")
        if origin is not None and origin not in [f"http://{host}" for host in self.server.hosts]:
            raise Refused(HTTPStatus.FORBIDDEN, "this server takes no requests from other pages")
        secret, slash, word = self.path.removeprefix("/").partition("/")
        if not secrets.compare_digest(secret.encode(), self.server.secret.encode()) or not slash:
            raise Refused(HTTPStatus.NOT_FOUND, "there is nothing here; open the address that the server printed")
        return word

    def _body(self) -> dict[str, Any]:
        """The JSON object that was sent."""
        if self.headers.get_content_type() != "application/json":
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send application/json")
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "say in Content-Length how many bytes come")
        if len(length) > len(str(MOST_BYTES)) or int(length) > MOST_BYTES:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"no move takes more than {MOST_BYTES} bytes")
        try:
            said = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            raise Refused(HTTPStatus.BAD_REQUEST, "this is not JSON") from None
        if not isinstance(said, dict) or type(said.get("number")) is not int:
            raise Refused(HTTPStatus.BAD_REQUEST, 'send an object with the "number" of the move that it answers')
        return said

    def _done(self, word: str, said: dict[str, Any]) -> dict[str, Any]:
        """Ask the table, or change it. A move that cannot be taken now is answered with how the game stands."""
        cards = _cards(said) if word == "move" else []
        with self.server.turn:
            table = self.server.table
            try:
                if word == "hint":
                    return table.hint()
                if word == "move":
                    table.play(said["number"], cards)
                elif word == "deal":
                    table.deal(said["number"])
            except Mistake as mistake:
                raise Refused(HTTPStatus.CONFLICT, str(mistake), table=table.seen()) from None
            return table.seen()

    def _reply(self, status: HTTPStatus, document: dict[str, Any]) -> None:
        self._send(status, json.dumps(document).encode(), "application/json")

    def _send(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        headers = {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Content-Security-Policy": f"{self.server.policy}; frame-ancestors 'none'",
            "Cache-Control": "no-store",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the library turns away (no request at all, a method that there is not) is answered as the rest."""
        self._reply(HTTPStatus(code), {"error": message or HTTPStatus(code).phrase})

    def log_message(self, format: str, *arguments: Any) -> None:
        """The terminal is for the person."""


def _cards(said: dict[str, Any]) -> list[int]:
    names = said.get("cards")
    if not isinstance(names, list) or not all(isinstance(name, str) and name in CARD_NAMES for name in names):
        raise Refused(HTTPStatus.BAD_REQUEST, '"cards" is a list of cards such as "QS" or "TH"')
    return [CARD_NAMES[name] for name in names]
