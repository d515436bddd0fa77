"""What the environment says: `DATABASE_URL`, `TOLLBOOK_*`, and secrets also from files (`*_FILE`)."""

from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from billing.approvals import Approvals
from billing.deciding import WhenStale
from billing.hosts import Reach, networks
from billing.keys import Mode

FORMS = {
    "when_stale": "fail_closed or fail_open",
    "series": "1 to 20 capital letters, digits and hyphens that begin with a letter or a digit, as in INV",
    "approvals": "none, one or two-people",
    "bound_factor": "a number from 1 to 1000 with 3 decimals at most, as in 3 or 2.5",
    "bound_least": "a whole number of major units of the currency from 0 to 1000000000",
    "bound_months": "a whole number of invoices from 1 to 36",
    "bounds": "all, totals or none",
    "credit_series": "1 to 20 capital letters, digits and hyphens that begin with a letter or a digit, as in CN",
    "late_limit": "a whole number of months from 0 to 36",
    "webhooks_http": "true or false",
    "mode": "live or test",
    "payment_days": "a whole number of days from 0 to 366",
    "statement_seconds": "a whole number of seconds from 0 to 3600",
    "lock_seconds": "a whole number of seconds from 0 to 3600",
}
"""What the value of a setting is, in words."""


class BoundsKept(StrEnum):
    """By which safety bounds a run holds bills back: far totals and usage that waits; far totals only; none."""

    ALL = "all"
    TOTALS = "totals"
    NONE = "none"


class Settings(BaseSettings):
    """Settings of the command line. Without `database_url` the embedded PostgreSQL is used.

    `series` is what invoice numbers begin with, `credit_series` those of credit notes, `late_limit` how many months
    back a run adjusts without a person who releases it, `payment_days` how long after its date an invoice is due,
    `approvals` who must approve drafts before they are issued, `mode` whether this deployment is live or a test, which
    its database notes for good when it is said first. Bills are
    held back by `bounds`: `bound_factor` times more or less than the median of the last `bound_months` invoices, if
    the difference is `bound_least` or more, and with usage that waits for a price. Webhooks go to public addresses over
    HTTPS, and to the networks of `webhooks_allow` (with commas between); `webhooks_http`: also unencrypted. For what
    answers HTTP a statement may take `statement_seconds`, and wait `lock_seconds` for a lock (0: as long as it takes).
    Where the embedded PostgreSQL lies (`TOLLBOOK_DATA`) and which one it is (`TOLLBOOK_PG_BIN`) is read by the store.
    """

    model_config = SettingsConfigDict(env_prefix="TOLLBOOK_", extra="ignore", frozen=True)

    database_url: SecretStr | None = Field(default=None, validation_alias="DATABASE_URL")
    database_url_file: Path | None = Field(default=None, validation_alias="DATABASE_URL_FILE")

    series: str = Field(default="INV", pattern=r"^[A-Z0-9][A-Z0-9-]{0,19}$")
    credit_series: str = Field(default="CN", pattern=r"^[A-Z0-9][A-Z0-9-]{0,19}$")
    late_limit: int = Field(default=3, ge=0, le=36)
    mode: Mode | None = None
    approvals: Approvals = Approvals.NONE
    when_stale: WhenStale = WhenStale.CLOSED
    bounds: BoundsKept = BoundsKept.ALL
    bound_factor: Decimal = Field(default=Decimal(3), gt=1, le=1000, decimal_places=3)
    bound_least: int = Field(default=100, ge=0, le=10**9)
    bound_months: int = Field(default=3, ge=1, le=36)
    payment_days: int = Field(default=30, ge=0, le=366)
    webhooks_allow: str = ""
    webhooks_http: bool = False
    statement_seconds: int = Field(default=30, ge=0, le=3600)
    lock_seconds: int = Field(default=5, ge=0, le=3600)

    @field_validator("webhooks_allow")
    @classmethod
    def _networks(cls, text: str) -> str:
        _, faults = networks(filter(None, text.split(",")))
        if faults:
            raise ValueError("; ".join(map(str, faults)))
        return text

    @property
    def reach(self) -> Reach:
        """How far webhooks may go."""
        return Reach(allowed=networks(filter(None, self.webhooks_allow.split(",")))[0], http=self.webhooks_http)

    @model_validator(mode="after")
    def _own_series(self) -> Self:
        if self.series == self.credit_series:
            raise ValueError("TOLLBOOK_SERIES and TOLLBOOK_CREDIT_SERIES are the same; give credit notes their own")
        return self

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        if self.database_url is not None and self.database_url_file is not None:
            raise ValueError("DATABASE_URL and DATABASE_URL_FILE are both set; unset one of them")
        return self

    @property
    def address_place(self) -> str:
        """The variable that says the address."""
        return "DATABASE_URL" if self.database_url_file is None else "DATABASE_URL_FILE"

    @property
    def address(self) -> str | None:
        """The database's URL, from the variable or the file that is named; None for the embedded one."""
        if self.database_url_file is not None:
            return self.database_url_file.read_text(encoding="utf-8").strip()
        return self.database_url.get_secret_value() if self.database_url else None
