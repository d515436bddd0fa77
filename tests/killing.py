"""A service that is killed under load, again and again, and clients that remember what it told them.

`python -m tests.killing --kills 200` does it by hand, on a PostgreSQL of its own with fsync on.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import NamedTuple

from billing.periods import Period
from billing.store.cluster.processes import postmaster
from billing.store.embedded import Cluster, StopMode, cluster_from, ensure_running, stop
from billing.store.engine import open_engine, snapshot
from billing.store.migrate import migrate
from billing.store.queries.verification import unbalanced_totals
from tests.serving import Served, new_key, serving
from tests.shop import SOURCE, Shop, call, card

CLIENTS = 4
_DAYS = 3
_PATIENCE_SECONDS = 40
_IN_FORCE = {"accepted", "quarantined"}
_ACKNOWLEDGED = _IN_FORCE | {"duplicate", "superseded"}

Report = tuple[str, int]
"""An event and its revision: what is posted, and posted again until there is an answer."""


class Verdict(NamedTuple):
    """How many events were acknowledged, and which of them are not as they should be, in words.

    `unanswered` never had an answer; `found_again` were stored without one, and told so when they were posted again.
    """

    acknowledged: int
    unanswered: int
    found_again: int
    lost: list[str]
    doubled: list[str]

    @property
    def is_passed(self) -> bool:
        """Whether events were acknowledged, all were answered, and nothing is wrong with any."""
        return self.acknowledged > 0 and not (self.unanswered or self.lost or self.doubled)

    def __str__(self) -> str:
        return f"{len(self.lost)} of {self.acknowledged} acknowledged events lost, {len(self.doubled)} doubled"


@dataclass(slots=True)
class Log:
    """What clients sent and what they were told."""

    sent: dict[Report, dict[str, object]] = field(default_factory=dict)
    told: dict[Report, list[str]] = field(default_factory=lambda: defaultdict(list))
    answers: Counter[int] = field(default_factory=Counter)
    unanswered: int = 0
    broken: list[str] = field(default_factory=list)  # clients that ended before their time

    def highest(self) -> dict[str, int]:
        """The highest acknowledged revision of each event that has one."""
        found: dict[str, int] = {}
        for id_, revision in self.told:
            found[id_] = max(revision, found.get(id_, 0))
        return found


class Client(threading.Thread):
    """Posts single events and batches, amends some, and posts again what it got no answer for, and some of the rest."""

    def __init__(self, load: "Load", number: int) -> None:
        super().__init__(name=f"client-{number}")
        self._load, self._number, self._made = load, number, 0
        self._dice = random.Random(number)
        self._waiting: list[list[Report]] = []  # requests without an answer
        self._known: list[Report] = []
        self._connection: HTTPConnection | None = None

    def run(self) -> None:
        """Post until the load ends and everything has its answer."""
        try:
            self._keep_on()
        except Exception as error:  # noqa: BLE001 (whatever it is: a client that is gone finds nothing more)
            self._load.log.broken.append(f"{self.name} ended: {error!r}")

    def _keep_on(self) -> None:
        until = 0.0
        while not self._load.ending.is_set() or self._waiting:
            if self._load.ending.is_set():
                until = until or time.monotonic() + _PATIENCE_SECONDS
                if time.monotonic() > until:
                    return
            request = self._next()
            told = self._post([self._load.log.sent[report] for report in request])
            if told is None:
                self._load.log.unanswered += 1
                self._waiting.append(request)
                time.sleep(0.02)
                continue
            for report, result in zip(request, told, strict=True):
                self._load.log.told[report].append(result)
            self._known += request[:5]

    def _next(self) -> list[Report]:
        if self._waiting and (self._load.ending.is_set() or self._dice.random() < 0.7):
            return self._waiting.pop(self._dice.randrange(len(self._waiting)))
        sort = self._dice.random()
        if self._known and sort < 0.05:
            return [self._dice.choice(self._known)]  # on purpose: it was answered
        if self._known and sort < 0.1:
            id_, revision = self._dice.choice(self._known)
            return [self._report(id_, revision + 1)]
        size = 1 if sort < 0.6 else self._dice.randint(2, 40) if sort < 0.99 else self._dice.randint(500, 1500)
        return [self._new() for _ in range(size)]

    def _new(self) -> Report:
        self._made += 1
        return self._report(f"c{self._number}-{self._made}", 1)

    def _report(self, id_: str, revision: int) -> Report:
        report = (id_, revision)
        if report not in self._load.log.sent:
            at = self._load.at - timedelta(minutes=self._dice.randint(1, _DAYS * 24 * 60))
            if revision > 1:
                at = datetime.fromisoformat(str(self._load.log.sent[id_, 1]["occurred_at"]))
            who = "acme" if self._dice.random() < 0.8 else self._dice.choice(["beta", "nobody"])
            self._load.log.sent[report] = call(
                0, id=id_, revision=revision, account=who, occurred_at=at.isoformat(),
                duration_seconds=str(self._dice.randint(1, 300)),
            )  # fmt: skip
        return report

    def _post(self, events: Sequence[dict[str, object]]) -> list[str] | None:
        """What became of each event, or None without an answer."""
        try:
            if self._connection is None:
                self._connection = HTTPConnection("127.0.0.1", self._load.port, timeout=30)
            body = json.dumps(events[0] if len(events) == 1 else events)
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._load.token}"}
            self._connection.request("POST", "/v1/events", body, headers)
            answer = self._connection.getresponse()
            told = json.loads(answer.read())
        except (OSError, HTTPException, ValueError):
            self._connection = None
            return None
        self._load.log.answers[answer.status] += 1
        if answer.status >= 500:
            return None
        return [each["result"] for each in told["results"]]


@dataclass(slots=True)
class Load:
    """Several clients at a service that comes and goes."""

    token: str
    at: datetime
    port: int = 1  # of the service that runs now
    log: Log = field(default_factory=Log)
    ending: threading.Event = field(default_factory=threading.Event)


def kill(served: Served) -> None:
    """End every process of a service at once: those that answer, the one above them, the worker."""
    os.killpg(served.process.pid, signal.SIGKILL)
    served.process.wait()


def kill_database(cluster: Cluster) -> None:
    """End PostgreSQL's first process; the others end as they notice."""
    found = postmaster(cluster)
    if found is not None:
        os.kill(found.pid, signal.SIGKILL)


def trial(
    shop: Shop,
    folder: Path,
    kills: int,
    *options: str,
    seconds: float = 1.5,
    cluster: Cluster | None = None,
    every: float = 0.25,
    said: Callable[[str], None] = lambda _: None,
) -> Verdict:
    """Kill a service under load at any moment, begin it again, and at the end see what became of each event.

    With a `cluster` some kills are PostgreSQL's, under a service that goes on: `every` says for how many services.
    """
    at, dice = datetime.now(UTC).replace(microsecond=0), random.Random()
    url = shop.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    load = Load(new_key(url, folder, "load", "--scope", "ingest", "--source", SOURCE), at)
    clients = [Client(load, number) for number in range(CLIENTS)]
    killed = begun = 0
    try:
        while killed < kills:
            with serving(url, folder, *options, work=True) as served:
                load.port = int(served.url.rpartition(":")[2])
                if not begun:
                    begun = 1
                    for client in clients:
                        client.start()
                time.sleep(dice.uniform(0, seconds))
                if cluster is not None and dice.random() < every and killed + 1 < kills:
                    kill_database(cluster)
                    ensure_running(cluster, lambda _: None)
                    killed += 1
                    time.sleep(dice.uniform(0, seconds))
                kill(served)
                killed += 1
            if killed % 20 < 2:
                said(f"{killed} kills, {len(load.log.told)} events acknowledged, answers {dict(load.log.answers)}")
        with serving(url, folder, *options, work=True) as served:
            load.port = int(served.url.rpartition(":")[2])
            load.ending.set()
            for client in clients:
                client.join()
    finally:
        load.ending.set()
    return judged(shop, load.log, at)


_STORED = """
    SELECT id, revision, measured FROM events UNION ALL SELECT id, revision, measured FROM quarantine
"""


def judged(shop: Shop, log: Log, at: datetime) -> Verdict:
    """What is stored, compared with what clients were told."""
    rows: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for id_, *row in shop.rows(_STORED):
        rows[str(id_)].append((int(str(row[0])), int(str(row[1]))))
    identities = {str(id_): revision for id_, revision in shop.rows("SELECT id, revision FROM event_identity")}
    lost = [*_lost(log, rows, identities), *_not_told(log), *log.broken]
    doubled = [*_doubled(log, rows), *_unbalanced(shop, at)]
    doubled += [f"{id_} has an identity and is nowhere" for id_ in identities.keys() - rows.keys()]
    doubled += [f"{id_} is stored without an identity" for id_ in rows.keys() - identities.keys()]
    found_again = sum(told[0] == "duplicate" for told in log.told.values())
    return Verdict(len(log.highest()), len(log.sent) - len(log.told), found_again, lost, doubled)


def _lost(log: Log, rows: Mapping[str, Sequence[tuple[int, int]]], identities: Mapping[str, object]) -> Iterator[str]:
    for id_, revision in log.highest().items():
        if id_ not in identities or not rows.get(id_):
            yield f"{id_} is not there"
            continue
        found, seconds = rows[id_][0]
        if found < revision or identities[id_] != found:
            yield f"{id_} is of revision {found}, its identity of {identities[id_]}, acknowledged was {revision}"
        elif log.sent[id_, found]["duration_seconds"] != str(seconds):
            yield f"{id_} is not as it was reported: {seconds} seconds"


def _not_told(log: Log) -> Iterator[str]:
    for (id_, revision), told in log.told.items():
        if not set(told) <= _ACKNOWLEDGED:
            yield f"{id_} revision {revision} was told {told}"


def _doubled(log: Log, rows: Mapping[str, Sequence[tuple[int, int]]]) -> Iterator[str]:
    for (id_, revision), told in log.told.items():
        if any(result in _IN_FORCE for result in told[1:]):
            yield f"{id_} revision {revision} was new after it had been acknowledged: {told}"
    for id_, each in rows.items():
        if len(each) != 1:
            yield f"{id_} is stored as {each}"


def _unbalanced(shop: Shop, at: datetime) -> Iterator[str]:
    with snapshot(shop.engine) as connection:
        for period in {Period.at(at), Period.at(at - timedelta(days=_DAYS + 1))}:
            if wrong := unbalanced_totals(connection, period):
                yield f"{wrong} totals of {period} differ from the sum of their events"


def prepare(shop: Shop) -> None:
    """A card and two accounts, in force for as long as events are taken."""
    at = datetime.now(UTC)
    since = (at - timedelta(days=60)).date().replace(day=1)
    shop.publish(card(since=since.isoformat()), at=at)
    shop.admit("acme", "beta", since=since)


@contextmanager
def production_database() -> Iterator[tuple[Shop, Cluster]]:
    """A PostgreSQL as in production, of this run's own."""
    with tempfile.TemporaryDirectory(prefix="tollbook-kill-") as folder:
        Path(folder).chmod(0o755)
        cluster = cluster_from({**os.environ, "TOLLBOOK_DATA": f"{folder}/data"})
        try:
            engine = open_engine(ensure_running(cluster, lambda _: None).sqlalchemy_url)
            migrate(engine)
            yield Shop(engine=engine), cluster
        finally:
            stop(cluster, lambda _: None, StopMode.IMMEDIATE)


def main() -> int:
    """Run a trial and print its verdict; 1 if anything was lost, doubled or never answered."""
    parsing = argparse.ArgumentParser(description=__doc__)
    parsing.add_argument("--kills", type=int, default=200)
    parsing.add_argument("--workers", type=int, default=1)
    parsing.add_argument("--database", action="store_true", help="kill PostgreSQL too")
    asked = parsing.parse_args()
    with production_database() as (shop, cluster), tempfile.TemporaryDirectory() as folder:
        prepare(shop)
        verdict = trial(
            shop, Path(folder), asked.kills, "--workers", str(asked.workers),
            cluster=cluster if asked.database else None, said=_say,
        )  # fmt: skip
    _say(f"{asked.kills} kills: {verdict} ({verdict.found_again} had been stored when the answer was cut off)")
    for each in [*verdict.lost[:20], *verdict.doubled[:20]]:
        _say(f"  {each}")
    if verdict.unanswered:
        _say(f"  {verdict.unanswered} were never answered")
    return 0 if verdict.is_passed else 1


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
