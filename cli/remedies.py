"""What a person types for what waits: the reasons, and the commands that release it."""

_RELEASE = "tollbook usage quarantine --release"
_COMMANDS = {  # what adds an account, a contract or a card also releases what waited for it
    "unknown_account": "tollbook accounts add FILE",
    "no_payer": "tollbook accounts add FILE",
    "unknown_product": _RELEASE,
    "no_product_rule": _RELEASE,
    "no_contract": "tollbook contracts add FILE",
    "currency_mismatch": "tollbook contracts add FILE",
    "too_old": f"{_RELEASE} --too-old --as NAME",
    "no_card": "tollbook cards import CARD",
    "no_rate": "tollbook cards import CARD",
    "blocked": "tollbook cards import CARD",
    "no_increments": "tollbook cards import CARD",
    "max_quantity": "tollbook cards import CARD",
    "charge_too_large": "tollbook cards import CARD",
    "charge_unpriced": "tollbook cards import CARD",
    "charge_missing": "tollbook cards import CARD",
}


def command_of(reason: str) -> str:
    """The command that releases what waits for a reason; "" where none does."""
    return _COMMANDS.get(reason, "")
