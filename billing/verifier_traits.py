"""What rows and selectors may ask of an event: the numbers, the country, the dimensions that its product declares."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import billing.verifier_usage as given
from billing.verifier_usage import CardFaultError, Product, Raw, Usage, words

Fill = tuple[Mapping[str, tuple[str, ...]], ...]  # selectors, of which one must hold: what is asked, patterns allowed
_SELECTABLE = ("product", "country", "number_type", "prefixes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What rows and selectors may ask of an event; `values` are those of the product's dimensions."""

    product: Product
    to: str
    to_digits: str
    origin_digits: str
    country: str
    number_type: str
    values: tuple[str, ...]


def traits_of(product: Product, usage: Usage, plan: Mapping[str, str]) -> Traits:
    """The event's stated country, else that of the number which the product names, by the numbering plan."""
    to, origin = given.e164_digits(usage.to), given.e164_digits(usage.origin)
    named = {"to": to, "from": origin}.get(product.country_of, "")
    country = usage.value("country") or given.country_of(named, plan)
    values = tuple(country if name == "country" else usage.value(name) for name in product.dimensions)
    return Traits(
        product=product, to=usage.to, to_digits=to, origin_digits=origin,
        country=country, number_type=usage.value("number_type"), values=values,
    )  # fmt: skip


@lru_cache(maxsize=4096)
def fits(pattern: str, value: str) -> bool:
    """Whether a value is of a pattern, in which `*` stands for any characters."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), value) is not None


def selects(fill: Fill, traits: Traits) -> bool:
    """Whether any selector holds; `*` in one stands for any characters, an absent key for anything."""
    said = {"product": traits.product.id, "country": traits.country, "number_type": traits.number_type}
    return any(
        all(any(fits(pattern, said[key]) for pattern in allowed) for key, allowed in one.items() if key in said)
        and (not one.get("prefixes") or longest_prefix(one["prefixes"], traits.to_digits) is not None)
        for one in fill
    )


def filling(fill: Fill, products: Iterable[Product]) -> list[Product]:
    """The products of which a selector may take usage."""
    patterns = [one.get("product", ("*",)) for one in fill]
    return [product for product in products if any(fits(each, product.id) for few in patterns for each in few)]


def longest_prefix(prefixes: Sequence[str], digits: str) -> str | None:
    """The longest of the prefixes with which the digits begin, None if they begin with none."""
    begins = (prefix for prefix in prefixes if digits[: len(prefix)] == prefix)
    return max(begins, key=len, default=None)


def read_fill(raw: Raw, place: str) -> Fill:
    """What a schedule or a pool is filled by."""
    selectors = [{key: words(one[key]) for key in sorted(one)} for one in given.tables(raw, "fill")]
    fill = tuple({str(one): one for one in sorted(selectors, key=str)}.values())  # a set: cards may order it otherwise
    if not fill or not all(key in _SELECTABLE for one in fill for key in one):
        raise CardFaultError(place, f"fill must select by {', '.join(_SELECTABLE)}")
    return fill
