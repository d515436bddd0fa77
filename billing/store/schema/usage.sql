-- Usage: what was reported, once; how it was rated; and the sums of it.

CREATE TABLE sources (
    source_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE CHECK (id <> '')
);

CREATE SEQUENCE batches; -- one number for each transaction that writes usage

-- The batches that have been written, also those of which nothing was new. One transaction writes a batch and its row:
-- whoever sees the one sees the other, whatever committed in which order. Unlike transaction ids the numbers are the same after a restore.
CREATE TABLE written_batches (
    batch bigint PRIMARY KEY
);

-- One row for each event that was ever accepted, for ever; events themselves may be archived.
CREATE TABLE event_identity (
    batch bigint NOT NULL,
    occurred_at timestamptz, -- NULL: it was taken back, and is nowhere
    fingerprint uuid NOT NULL, -- 128-bit BLAKE2b of the normalised content
    source_id integer NOT NULL,
    revision integer NOT NULL, -- the highest that came: the one in force
    payer_id integer, -- NULL: taken back, or quarantined with nobody to pay
    id text COLLATE "C" NOT NULL,
    PRIMARY KEY (source_id, id)
);

CREATE TABLE events (
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    batch bigint NOT NULL,
    to_e164 bigint,
    from_e164 bigint,
    rated_to_e164 bigint,
    measured bigint NOT NULL,
    rate_id bigint, -- of the element `usage`; others are rows of event_elements
    billed bigint NOT NULL, -- of usage that was cut when it was rated: its first part
    price_id integer, -- NULL also where an element stands for it: its minimum or maximum
    payer_id integer NOT NULL,
    account_id integer NOT NULL,
    source_id integer NOT NULL,
    revision integer NOT NULL,
    product_id smallint NOT NULL,
    reason smallint NOT NULL, -- 0: rated; else the code of rates.rating.Reason
    id text COLLATE "C" NOT NULL,
    country text NOT NULL, -- resolved: stated, else by the numbering plan
    stated_country text,
    to_address text,
    from_address text,
    mcc text,
    mnc text,
    number_type text,
    region text,
    jurisdiction text,
    package text,
    status text,
    error_code text,
    attributes text
) PARTITION BY RANGE (occurred_at);
CREATE INDEX ON events (payer_id, occurred_at);
-- Those whose outcome was still open: few, and counted by each run, which reads no other event of the month for it.
CREATE INDEX ON events (occurred_at) WHERE reason = 1;

CREATE TABLE event_elements (
    occurred_at timestamptz NOT NULL,
    batch bigint NOT NULL,
    rate_id bigint NOT NULL,
    billed bigint NOT NULL, -- of a rounded charge: the charge, in units of 10^-decimals
    price_id integer NOT NULL,
    payer_id integer NOT NULL,
    account_id integer NOT NULL,
    source_id integer NOT NULL,
    part integer NOT NULL, -- which one of its event, from 1: parts of its usage are in their order
    events smallint NOT NULL, -- 1: the event is counted with it; 0: a further part of its usage, or its rounded charge
    id text COLLATE "C" NOT NULL,
    country text NOT NULL
) PARTITION BY RANGE (occurred_at);
CREATE INDEX ON event_elements (payer_id, occurred_at);

-- Accepted, but not to be billed until somebody mends the cause.
CREATE TABLE quarantine (
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    batch bigint NOT NULL,
    to_e164 bigint,
    from_e164 bigint,
    rated_to_e164 bigint,
    measured bigint NOT NULL,
    source_id integer NOT NULL,
    revision integer NOT NULL,
    reason smallint NOT NULL,
    id text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    product text COLLATE "C" NOT NULL,
    stated_country text,
    to_address text,
    from_address text,
    mcc text,
    mnc text,
    number_type text,
    region text,
    jurisdiction text,
    package text,
    status text,
    error_code text,
    attributes text,
    PRIMARY KEY (source_id, id)
);
-- A statement tells what waits for one account, however much waits for others.
CREATE INDEX ON quarantine (account, occurred_at);

-- Changes of the totals that are not in them yet. Each row is a fact of its own; their order means nothing.
CREATE TABLE unfolded (
    events bigint NOT NULL,
    quantity bigint NOT NULL,
    payer_id integer NOT NULL,
    account_id integer NOT NULL,
    price_id integer NOT NULL,
    day date NOT NULL,
    country text NOT NULL,
    at timestamptz NOT NULL DEFAULT now() -- by the database's clock: how far behind folding is, and nothing else
);

CREATE TABLE usage_totals (
    events bigint NOT NULL,
    quantity bigint NOT NULL,
    payer_id integer NOT NULL,
    account_id integer NOT NULL,
    price_id integer NOT NULL,
    day date NOT NULL,
    country text COLLATE "C" NOT NULL,
    PRIMARY KEY (payer_id, day, price_id, account_id, country)
) WITH (fillfactor = 70);

-- Of which months payers have totals, and whether these have changed since they were billed: `folds` counts the changes
-- that were folded into them, and what has billed them, or a run that finds them to be what was billed, notes in
-- `settled` how many it saw. So where the two are the same, and nothing of the month is unfolded, nothing has changed.
CREATE TABLE touched_months (
    folds bigint NOT NULL,
    settled bigint NOT NULL DEFAULT 0,
    payer_id integer NOT NULL,
    month date NOT NULL, -- its first day
    -- Stored: while it stays true, a fold moves nothing that an index is of, and no index is written.
    changed boolean NOT NULL GENERATED ALWAYS AS (folds <> settled) STORED,
    PRIMARY KEY (month, payer_id)
) WITH (fillfactor = 70);
CREATE INDEX ON touched_months (month, payer_id) WHERE changed;

-- What sources say they counted on a day. Revisions are added, and the newest one holds; a source may be unknown yet.
CREATE TABLE usage_controls (
    at timestamptz NOT NULL,
    events bigint NOT NULL CHECK (events >= 0),
    quantity bigint NOT NULL CHECK (quantity >= 0), -- measured, in base units of the product
    revision integer NOT NULL CHECK (revision > 0),
    day date NOT NULL, -- UTC
    source text COLLATE "C" NOT NULL CHECK (source <> ''),
    product text COLLATE "C" NOT NULL CHECK (product <> ''),
    actor text NOT NULL,
    PRIMARY KEY (source, product, day, revision)
);
CREATE INDEX ON usage_controls (day);
SELECT keep_for_good('usage_controls');
