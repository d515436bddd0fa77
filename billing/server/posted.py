"""What may be posted as usage, as OpenAPI tells it: an event, and each form in which events come.

The intake itself reads raw bytes and checks each event by `billing.payloads`; this is what it takes, for whoever writes
a client or generates one.
"""

import json
from typing import Any

from billing.accounts import LONGEST_ID
from billing.payloads import LONGEST_TEXT, REQUIRED, TEXTS
from billing.server.bodies import MEDIA_TYPES, MOST_EVENTS

_WORD = {"type": "string", "maxLength": LONGEST_TEXT}
_NAME = {"type": "string", "minLength": 1, "maxLength": LONGEST_ID}
_FIGURE: dict[str, Any] = {
    "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$"}],
    "description": "A whole number, or a decimal in a string.",
}
_ROUNDED = "Fractions are rounded up to whole seconds."
_MEASURES = ("quantity", "segments", "bytes_sent", "bytes_received")

EVENT: dict[str, Any] = {
    "title": "UsageEvent",
    "type": "object",
    "description": "One thing that was used. `source` and `id` are its identity, for ever; a key may have a source.",
    "required": list(REQUIRED),
    "properties": {
        **dict.fromkeys((*TEXTS, "from", "to", "rated_to", "delivered_as"), _WORD),
        **dict.fromkeys(_MEASURES, _FIGURE),
        **dict.fromkeys(("id", "account", "product", "source"), _NAME),
        "duration_seconds": _FIGURE | {"description": f"{_FIGURE['description']} {_ROUNDED}"},
        "occurred_at": {"type": "string", "format": "date-time", "description": "With Z, or its distance from UTC."},
        "text": {"type": "string", "description": "What a message said: counted in segments, never stored."},
        "packages": {"type": "array", "items": {"anyOf": [_WORD, {"type": "object"}]}},
        "attributes": {"type": "object", "additionalProperties": {}, "description": "Declared dimensions."},
        "charges": {"type": "object", "description": "Prices that the event brings, as decimals in strings."},
        "revision": {"type": "integer", "minimum": 1, "description": "The highest one counts."},
        "void": {"type": "boolean", "description": "Takes the event back; then only its identity and revision."},
    },
}

_EXAMPLE = {
    "id": "CA0017",
    "account": "acme",
    "product": "voice.outbound",
    "occurred_at": "2026-10-02T10:11:12Z",
    "from": "+14155550123",
    "to": "+447700900123",
    "duration_seconds": "61",
}
_CLOUD_EVENT: dict[str, Any] = {
    "title": "CloudEvent",
    "type": "object",
    "description": "CloudEvents 1.0: `time` is when it occurred, `subject` the account, `type` `usage.` and a product."
    " Without a `source` it is of the key's.",
    "required": ["specversion", "id", "time", "subject", "type", "data"],
}
_CLOUD_EXAMPLE = {
    "specversion": "1.0",
    "source": "voice-eu-1",
    "id": "CA0018",
    "type": "usage.voice.outbound",
    "subject": "acme",
    "time": "2026-10-02T10:11:12Z",
    "data": {"to": "+447700900123", "duration_seconds": "61"},
}


def _many(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "maxItems": MOST_EVENTS, "items": of}


_FORMS: dict[str, dict[str, Any]] = {
    "application/json": {"schema": {"anyOf": [EVENT, _many(EVENT)]}, "example": _EXAMPLE},
    "application/cloudevents+json": {"schema": _CLOUD_EVENT, "example": _CLOUD_EXAMPLE},
    "application/cloudevents-batch+json": {"schema": _many(_CLOUD_EVENT), "example": [_CLOUD_EXAMPLE]},
}
_LINES = {
    "schema": {"type": "string", "description": "An event, or a CloudEvent, in each line."},
    "example": "".join(f"{json.dumps(_EXAMPLE | {'id': name})}\n" for name in ("CA0017", "CA0018")),
}

POSTED: dict[str, Any] = {
    "requestBody": {"required": True, "content": {kind: _FORMS.get(kind, _LINES) for kind in MEDIA_TYPES}}
}
"""What `POST /v1/events` takes."""

AMENDED: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": EVENT | {"required": [name for name in REQUIRED if name != "id"]},
                "example": {name: said for name, said in _EXAMPLE.items() if name != "id"} | {"revision": 2},
            }
        },
    }
}
"""What an event is amended with; its path names it."""
