"""What is in a request."""

import json
from typing import Any

from fastapi import Request

from jaxsd.server.refusals import Refused

MOST_PARTS = 1000
"""Fields of a form."""


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def is_json(request: Request) -> bool:
    """Whether its body says that it is JSON."""
    return _kind(request) == "application/json"


async def json_body(request: Request) -> dict[str, Any]:
    """The JSON object in a request; an empty one if there is no body.

    Python's JSON has Infinity, which webui's clients send.

    Raises:
      Refused: something else.
    """
    content = await request.body()
    if not content:
        return {}
    if not is_json(request):
        raise Refused(415, "send JSON, with Content-Type: application/json", "unsupported_type")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        raise Refused(400, f"the body is not JSON: {reason}", "invalid_json") from None
    if not isinstance(found, dict):
        raise Refused(400, "the body is not a JSON object", "invalid_json")
    return found


async def form_body(request: Request) -> dict[str, list[str | bytes]]:
    """The fields of a form, of which some are files; `image[]` is `image`.

    Raises:
      Refused: it is none.
    """
    if _kind(request) != "multipart/form-data":
        raise Refused(415, "send a form, multipart/form-data", "unsupported_type")
    found: dict[str, list[str | bytes]] = {}
    async with request.form(max_files=20, max_fields=MOST_PARTS) as form:
        for name, value in form.multi_items():
            content = value if isinstance(value, str) else await value.read()
            found.setdefault(name.removesuffix("[]"), []).append(content)
    return found


async def flat_form(request: Request) -> dict[str, Any]:
    """The fields of a form that are not empty.

    Raises:
      Refused: it is none, or a field stands there twice.
    """
    form = await form_body(request)
    for name, values in form.items():
        if len(values) > 1:
            raise Refused(400, f"{name} is given {len(values)} times; one is taken", param=name)
    return {name: values[0] for name, values in form.items() if values[0] not in ("", b"")}


def switch(values: dict[str, Any], name: str) -> bool:
    """Takes yes or no out of a table, as JSON or a form says it; no if it is not there.

    Raises:
      Refused: something else.
    """
    value = values.pop(name, None)
    if value in (None, False, "false", "False", "0"):
        return False
    if value in (True, "true", "True", "1"):
        return True
    raise Refused(400, f"{name} {value!r} is not true or false", param=name)


def whole(values: dict[str, Any], name: str, default: int, most: int, least: int = 1) -> int:
    """Takes a whole number out of a table.

    Raises:
      Refused: it is none, or out of range.
    """
    value = values.pop(name, None)
    if value is None:
        return default
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or isinstance(value, bool) or number != float(value):
        raise Refused(400, f"{name} {value!r} is not a whole number", param=name)
    if not least <= number <= most:
        message = f"{name} {number} is out of range; allowed is {least} to {most}"
        raise Refused(400, message, param=name)
    return number
