"""What `/openapi.json` says of answers: of what is refused, and of what is no JSON."""

from collections.abc import Mapping
from typing import Any

TEXT = {"type": ["string", "null"]}
OPENAI_ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": dict.fromkeys(("message", "type", "param", "code"), TEXT),
            "required": ["message", "type", "param", "code"],
        }
    },
    "required": ["error"],
}
"""JSON Schema of `Refused.as_openai`."""
WEBUI_ERROR = {
    "type": "object",
    "properties": dict.fromkeys(("error", "detail", "body", "errors"), TEXT),
    "required": ["error", "detail", "body", "errors"],
}
"""JSON Schema of `Refused.as_webui`."""
EVENTS = "text/event-stream"


def refusals(schema: Mapping[str, Any]) -> dict[int | str, dict[str, Any]]:
    """Answers other than success, of a router or an app."""
    content = {"application/json": {"schema": schema}}
    return {
        "4XX": {"description": "what is wrong with the request", "content": content},
        "5XX": {"description": "what is wrong with the server", "content": content},
    }


def answers_with(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """A success whose content is of one of these kinds."""
    return {200: {"content": {kind: {} for kind in kinds}}}
