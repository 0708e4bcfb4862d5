"""What is refused before anything reads it: wrong hosts, origins, tokens and sizes.

A web page of a stranger may make a browser send requests to this machine. It can not choose the
Host and the Origin of them: so both are looked at, and a token is needed beyond this machine.
"""

import base64
import binascii
import json
import secrets
from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import urlsplit

from jaxsd.server.refusals import Refused

MOST_BYTES = 64 * 2**20
"""Of a request's body."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")
OPEN_PATHS = ("/health", "/ready")
"""Need no token."""
READING = ("GET", "HEAD")
CONNECTING = "CONNECT"
"""In place of a method, for websockets: a page of another origin could read what they say."""
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
}


class Guard:
    """ASGI middleware."""

    def __init__(
        self,
        app: Callable[..., Any],
        hosts: Collection[str] = LOOPBACK,
        token: str = "",
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """Wraps an app.

        Args:
          app: of ASGI.
          hosts: names that this server answers to.
          token: that clients must give, as a bearer or as the password of Basic; empty for none.
          most_bytes: of a body.
        """
        self.app, self.hosts, self.token, self.most_bytes = app, hosts, token, most_bytes

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answers a request, or has the app answer it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        if scope["type"] == "websocket":
            try:
                self.check(CONNECTING, scope["path"], headers)
            except Refused:
                await send({"type": "websocket.close", "code": 1008})
                return
            await self.app(scope, receive, send)
            return
        limited, begun = _Limited(receive, self.most_bytes), False

        async def answer(message: dict[str, Any]) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                own = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(
                        (name.lower().encode(), value.encode())
                        for name, value in HEADERS.items()
                        if name.lower().encode() not in own
                    ),
                ]
            await send(message)

        try:
            self.check(scope["method"], scope["path"], headers)
            await self.app(scope, limited, answer)
        except Refused as refused:
            if not begun:
                await _refuse(refused, answer)

    def check(self, method: str, path: str, headers: dict[str, str]) -> None:
        """Looks at a request's headers, by their names in small letters.

        Raises:
          Refused: it may not be answered.
        """
        host = urlsplit(f"//{headers.get('host', '')}")
        if (host.hostname or "") not in self.hosts:
            raise Refused(421, "this server does not answer to that Host", "wrong_host")
        self._check_origin(method, headers)
        if self.token and path not in OPEN_PATHS and not self._knows(headers):
            ask = {"WWW-Authenticate": 'Basic realm="jaxsd", charset="UTF-8"'}
            raise Refused(401, "a token is needed", "invalid_api_key", headers=ask)
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self.most_bytes:
            raise Refused(413, f"a body has at most {self.most_bytes} bytes", "too_large")

    def _check_origin(self, method: str, headers: dict[str, str]) -> None:
        if method in READING:
            return
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin is not None:
            found = urlsplit(origin)
            if found.scheme not in ("http", "https") or found.netloc != headers.get("host"):
                raise Refused(403, "pages of another origin may not do this", "wrong_origin")
        if site not in (None, "same-origin", "none"):
            raise Refused(403, "pages of another site may not do this", "wrong_origin")

    def _knows(self, headers: dict[str, str]) -> bool:
        kind, _, rest = headers.get("authorization", "").partition(" ")
        if kind.lower() == "basic":
            try:
                rest = base64.b64decode(rest, validate=True).decode().partition(":")[2]
            except (binascii.Error, ValueError):
                return False
        elif kind.lower() != "bearer":
            return False
        return secrets.compare_digest(rest.encode(), self.token.encode())


class _Limited:
    """Reads a body up to a number of bytes."""

    def __init__(self, receive: Any, most: int) -> None:
        self.receive, self.left, self.most = receive, most, most

    async def __call__(self) -> dict[str, Any]:
        message = await self.receive()
        self.left -= len(message.get("body", b""))
        if self.left < 0:
            raise Refused(413, f"a body has at most {self.most} bytes", "too_large")
        return message


async def _refuse(refused: Refused, send: Any) -> None:
    content = json.dumps(refused.as_openai()).encode()
    headers = {"Content-Type": "application/json", "Connection": "close", **refused.headers}
    named = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refused.status, "headers": named})
    await send({"type": "http.response.body", "body": content})
