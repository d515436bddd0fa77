"""`tollbook products`: what usage is told apart by, and what of it bills."""

from typing import TYPE_CHECKING

import typer

from cli.output import Format, FormatOption, emit, text

if TYPE_CHECKING:
    from rates.products import Conditions, Product

app = typer.Typer(no_args_is_help=True, help="Products: what is counted, and what of it bills.")

_LISTED = (
    text("id", "product"),
    text("name", faint=True),
    text("base", "counted in"),
    text("units", "priced by", spare=2),
    text("match", "matched on", spare=3),
    text("billable", "bills"),
    text("fees", spare=1),
    text("since", "rules since", spare=4),
)


@app.callback()
def root() -> None:
    """Keep `list` a command of its own."""


@app.command("list")
def list_(form: FormatOption = Format.TABLE) -> None:
    """All products: those that come along, and those of the folder that TOLLBOOK_PRODUCTS names."""
    from cli.world import products

    known = products()
    emit([_row(known[name]) for name in sorted(known)], _LISTED, form, title="Products")


def _row(product: "Product") -> dict[str, str]:
    newest = product.rules[-1]
    return {
        "id": product.id,
        "name": product.name,
        "base": product.base,
        "units": " ".join(sorted(product.units, key=lambda unit: product.units[unit])),
        "match": " ".join(product.match),
        "billable": _conditions(newest.billable),
        "fees": " ".join(fee.element for fee in newest.fees),
        "since": " ".join(f"{rule.effective_from:%Y-%m-%d}" for rule in product.rules),
    }


def _conditions(conditions: "Conditions") -> str:
    said = (f"{name} {' '.join(sorted(values - {''}))}" for name, values in sorted(conditions.items()))
    return "; ".join(said) or "all"
