"""Each route keeps to what OpenAPI says of it: a bounded run of schemathesis with all its checks, also in sequences.

The whole of it by hand: `python -m tests.contract`.
"""

import os
from pathlib import Path

from billing.store.embedded import ensure_running
from billing.store.engine import open_engine
from billing.store.migrate import migrate
from tests.conftest import NewCluster
from tests.contract import try_out
from tests.serving import serving
from tests.stocked import EVERYTHING, stock, tokens


def test_schemathesis_finds_nothing(new_cluster: NewCluster, tmp_path: Path) -> None:
    """On a database that forgets nothing, or `/v1/ready` would rightly say that it is not ready."""
    address = ensure_running(new_cluster(), lambda _: None)
    engine = open_engine(address.sqlalchemy_url)
    migrate(engine)
    stock(engine)
    token = tokens(engine)[EVERYTHING]
    engine.dispose()
    with serving(address.libpq_uri, tmp_path) as served:
        options = ["--phases", "fuzzing,stateful", "--max-examples", "4", "--max-time", "35"]
        if os.environ.get("HYPOTHESIS_PROFILE") == "steady":
            options += ["--seed", "1"]  # the same examples each time, as all other tests have them then
        tried = try_out(served, token, tmp_path, *options)
        assert 0 == tried.returncode, tried.stdout[-8000:]
        assert "Tested: " in tried.stdout
        assert '"defect"' not in served.log.read_text()
