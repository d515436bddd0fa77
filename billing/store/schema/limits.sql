-- Limits: triggers and budgets, guards and releases from them, and how usage stands to them.

-- What was said is never changed: it ends, and what takes its place is a row of its own.
CREATE TABLE triggers (
    trigger_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    threshold bigint NOT NULL CHECK (threshold > 0), -- events, base units, or minor units of the currency
    unit_size bigint NOT NULL CHECK (unit_size > 0),
    account_id integer NOT NULL REFERENCES accounts,
    id text COLLATE "C" NOT NULL CHECK (id <> ''),
    product text NOT NULL,
    country text NOT NULL, -- '': all of them
    measure text NOT NULL CHECK (measure IN ('events', 'quantity', 'amount')),
    unit text NOT NULL,
    per text NOT NULL CHECK (per IN ('day', 'month', 'period')), -- its window
    action text NOT NULL CHECK (action IN ('notify', 'stop')),
    added_at timestamptz NOT NULL,
    added_by text NOT NULL,
    ended_at timestamptz,
    ended_by text
);
CREATE UNIQUE INDEX ON triggers (id) WHERE ended_at IS NULL;

-- Once for each window, whoever looks how often.
CREATE TABLE trigger_firings (
    fired_at timestamptz NOT NULL,
    used numeric NOT NULL, -- what the window had come to
    trigger_id integer NOT NULL REFERENCES triggers,
    window_start date NOT NULL,
    window_end date NOT NULL CHECK (window_end > window_start),
    PRIMARY KEY (trigger_id, window_start)
);
CREATE INDEX ON trigger_firings (fired_at);

CREATE TABLE guards (
    guard_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id integer REFERENCES accounts, -- NULL: all of them
    id text COLLATE "C" NOT NULL CHECK (id <> ''),
    said jsonb NOT NULL, -- as its file writes it
    added_at timestamptz NOT NULL,
    added_by text NOT NULL,
    ended_at timestamptz,
    ended_by text
);
CREATE UNIQUE INDEX ON guards (id) WHERE ended_at IS NULL;

CREATE TABLE guard_releases (
    release_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    until timestamptz, -- NULL: for good
    account_id integer NOT NULL REFERENCES accounts,
    guard text COLLATE "C" NOT NULL, -- by its name: also of what takes its place
    destination text NOT NULL, -- a country, a prefix, '' for all of them
    person text NOT NULL CHECK (person <> ''),
    reason text NOT NULL CHECK (reason <> '')
);

SELECT keep_for_good('trigger_firings', 'guard_releases');

-- Raised by each change of all these, so that whoever keeps them in memory reads them again.
CREATE TABLE limits_version (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version bigint NOT NULL,
    guards bigint NOT NULL -- the same, of guards only
);
INSERT INTO limits_version (version, guards) VALUES (1, 1);

-- The last round of looking at usage that found something: in the two tables below, in rows with its number.
CREATE TABLE watch_rounds (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    round bigint NOT NULL,
    at timestamptz -- as of when all is known that was committed; NULL: never
);
INSERT INTO watch_rounds (round) VALUES (0);

-- Of a payer's month that somebody wants to know of. A memory of what totals say, which any round may write anew.
CREATE TABLE payer_states (
    changes bigint NOT NULL, -- of its totals that there were, folded or not
    books bigint NOT NULL, -- the versions of the books, limits and guards by which it was looked at
    limits bigint NOT NULL,
    guards bigint NOT NULL,
    round bigint NOT NULL,
    total_minor bigint, -- what the month comes to; NULL: nobody asked
    month date NOT NULL,
    payer_id integer NOT NULL,
    counters jsonb NOT NULL, -- [schedule, owner, position, unit size]: where tiers stand
    days jsonb NOT NULL, -- day -> digest of its totals
    spent jsonb NOT NULL, -- day -> country -> minor units
    known jsonb NOT NULL, -- [country, destination] that cost more than some guard lets begin at once
    failed text, -- why nobody can tell what the month comes to now; the rest is as of before that
    PRIMARY KEY (month, payer_id)
) WITH (fillfactor = 70);
CREATE INDEX ON payer_states (round);
CREATE INDEX ON payer_states (month) WHERE failed IS NOT NULL;

-- What the windows of budgets have come to.
CREATE TABLE budget_states (
    used numeric NOT NULL,
    round bigint NOT NULL,
    trigger_id integer NOT NULL REFERENCES triggers,
    window_start date NOT NULL,
    PRIMARY KEY (trigger_id, window_start)
) WITH (fillfactor = 70);
CREATE INDEX ON budget_states (round);
