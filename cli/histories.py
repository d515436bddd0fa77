"""The revisions of an event, as they are told beside its explanation."""

from typing import TYPE_CHECKING, Any

from cli.output import Format, emit, emit_csv, emit_json, emit_record, number, text

if TYPE_CHECKING:
    from billing.histories import History

_REVISIONS = (
    number("revision"),
    text("received_at", "received"),
    text("standing", "it is"),
    text("says", "what it says otherwise"),
    text("charge", "list charge", spare=1),
    text("reason"),
)


def show_revisions(history: "History") -> None:
    """Print the revisions of an event that has several, or was taken back, for people."""
    if len(history.reports) == 1 and not history.is_void:
        return
    from billing.records import revisions_record

    rows = [{**row, "says": _in_words(row)} for row in revisions_record(history)]
    emit(rows, _REVISIONS, Format.TABLE, title="Its revisions, the highest first")


def show_taken_back(history: "History", form: Format) -> None:
    """Print what is left of an event that was taken back: its revisions."""
    from billing.records import revisions_record, void_record

    if form is Format.CSV:
        emit_csv([{**row, "says": _in_words(row)} for row in revisions_record(history)], _REVISIONS)
        return
    if form is Format.JSON:
        emit_json(void_record(history))
        return
    head = {"source": history.source, "id": history.id, "revision": history.reports[0].revision}
    emit_record(
        {**head, "taken back": "it counts for nothing; a higher revision brings it back"},
        form,
        title=f"Event {history.id} of {history.source}",
    )
    show_revisions(history)


def _in_words(row: dict[str, Any]) -> str:
    """`quantity 61 → 121`, or that it takes the event back."""
    if row["void"]:
        return "it takes the event back"
    said = (f"{each['field']} {each['old'] or 'none'} → {each['new'] or 'none'}" for each in row["changes"])
    return ", ".join(said)
