-- Revisions of events that are not in force: those that a higher one took the place of, those that came after a higher
-- one, and all that took their event back, which are nowhere else. Rows are added and never changed.

CREATE TABLE event_revisions (
    occurred_at timestamptz, -- NULL: it takes the event back, and says nothing else
    received_at timestamptz NOT NULL,
    batch bigint NOT NULL, -- that brought it
    superseded_in bigint, -- the batch that took its place; NULL: it was never in force, or takes the event back
    to_e164 bigint,
    from_e164 bigint,
    rated_to_e164 bigint,
    measured bigint,
    rate_id bigint, -- what it was rated at while it was in force, as in `events`
    billed bigint,
    fingerprint uuid NOT NULL,
    price_id integer,
    payer_id integer,
    account_id integer,
    source_id integer NOT NULL,
    revision integer NOT NULL CHECK (revision > 0),
    reason smallint, -- NULL: it was never in force
    id text COLLATE "C" NOT NULL,
    account text COLLATE "C",
    product text COLLATE "C",
    country text,
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
    PRIMARY KEY (source_id, id, revision)
);
CREATE INDEX ON event_revisions (payer_id, occurred_at) WHERE payer_id IS NOT NULL;

-- What they came to beside their usage, as in `event_elements`.
CREATE TABLE event_revision_elements (
    occurred_at timestamptz NOT NULL,
    batch bigint NOT NULL,
    superseded_in bigint NOT NULL,
    rate_id bigint NOT NULL,
    billed bigint NOT NULL,
    price_id integer NOT NULL,
    payer_id integer NOT NULL,
    account_id integer NOT NULL,
    source_id integer NOT NULL,
    revision integer NOT NULL,
    part integer NOT NULL,
    events smallint NOT NULL,
    id text COLLATE "C" NOT NULL,
    country text NOT NULL,
    PRIMARY KEY (source_id, id, revision, part)
);
CREATE INDEX ON event_revision_elements (payer_id, occurred_at);

SELECT keep_for_good('event_revisions', 'event_revision_elements');
