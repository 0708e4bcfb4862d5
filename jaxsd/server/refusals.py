"""What a client is told that can not have what it asks for."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Refused(Exception):
    """An answer other than success.

    Attributes:
      status: of HTTP.
      message: one line for a person.
      code: one word for a program.
      param: the field that is wrong.
      headers: of the answer.
    """

    status: int
    message: str
    code: str = "invalid_value"
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.message

    @property
    def kind(self) -> str:
        """OpenAI's name for errors of this kind."""
        if self.status == 401:
            return "authentication_error"
        if self.status == 429:
            return "rate_limit_error"
        return "invalid_request_error" if self.status < 500 else "server_error"

    def as_openai(self) -> dict[str, object]:
        """As OpenAI's API says it."""
        said = {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}
        return {"error": said}

    def as_webui(self) -> dict[str, object]:
        """As webui's API says it."""
        return {"error": self.code, "detail": self.message, "body": "", "errors": self.message}


def busy(seconds: float) -> Refused:
    """The queue is full; clients such as OpenAI's wait for as long as it says, and ask again."""
    wait = str(max(1, round(seconds)))
    message = f"the queue is full; ask again in {wait} s"
    return Refused(429, message, "queue_full", headers={"Retry-After": wait})


def no_such(what: str, name: str, there: str = "") -> Refused:
    """There is nothing of this name."""
    return Refused(404, f"there is no {what} {name!r}{there}", f"{what}_not_found", what)
