-- Invoices: drafts, which are drawn again at will, and final ones, which never change. Money is in minor units of
-- the invoice's currency. The payer's id leads every key, so that all of an account lies together.

-- What usage a run saw: the batches that were written by then, as ranges. An event is on an invoice if and only if its
-- batch is in the snapshot of the invoice. A run adds its row with its drafts, in one transaction, and it stays.
CREATE TABLE billed_batches (
    snapshot_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batches int8multirange NOT NULL
);

CREATE SEQUENCE invoice_ids; -- a draft's id is the id of the invoice that it becomes

-- One row for each run that wrote drafts; the newest of a period says what its drafts are worth.
CREATE TABLE draft_runs (
    run_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    period_start date NOT NULL,
    period_end date NOT NULL CHECK (period_end > period_start),
    drawn_at timestamptz NOT NULL,
    drawn_by text NOT NULL,
    active integer NOT NULL,
    billed integer NOT NULL,
    zero integer NOT NULL,
    parked integer NOT NULL,
    failed integer NOT NULL,
    final integer NOT NULL CHECK (final <= billed), -- billed before this run
    -- With usage that has changed since: of those, and of whoever was billed for the month by the run of a later one.
    late integer NOT NULL CHECK (late >= 0),
    snapshot_id bigint NOT NULL REFERENCES billed_batches,
    changed boolean NOT NULL, -- whether it drew a draft, took one away, or is the first of its period
    CHECK (billed + zero + parked + failed = active)
);
CREATE INDEX ON draft_runs (period_start, run_id);

-- Accounts that the newest run of a period stopped at, until a person has looked at them.
CREATE TABLE draft_stops (
    payer_id integer NOT NULL REFERENCES accounts,
    period_start date NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('parked', 'failed')),
    reason text NOT NULL,
    releasable boolean NOT NULL DEFAULT false, -- held back by a safety bound, until a person releases it
    total_minor bigint NOT NULL DEFAULT 0, -- what it would be billed
    waiting bigint NOT NULL DEFAULT 0, -- its events that wait for a price
    mismatches text[] NOT NULL DEFAULT '{}', -- its control totals that do not match, and what differs
    causes text[] NOT NULL DEFAULT '{}', -- which of these hold it back
    PRIMARY KEY (payer_id, period_start)
);

CREATE TABLE draft_invoices (
    invoice_id bigint NOT NULL,
    total_minor bigint NOT NULL,
    snapshot_id bigint NOT NULL, -- in billed_batches: what usage the draft is of
    folds bigint NOT NULL, -- of its month in touched_months, as its snapshot saw them
    payer_id integer NOT NULL REFERENCES accounts,
    lines integer NOT NULL CHECK (lines > 0),
    period_start date NOT NULL,
    period_end date NOT NULL,
    kind text NOT NULL,
    state text NOT NULL CHECK (state IN ('draft', 'approved')),
    currency text NOT NULL,
    account text COLLATE "C" NOT NULL,
    name text NOT NULL,
    address text[] NOT NULL,
    tax_id text NOT NULL,
    language text NOT NULL,
    legal_entity text NOT NULL,
    billed_sha256 bytea NOT NULL CHECK (octet_length(billed_sha256) = 32), -- of the daily totals that were priced
    summed_sha256 bytea NOT NULL CHECK (octet_length(summed_sha256) = 32), -- of its draft_billed_totals
    sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32), -- of the canonical form: what is signed
    origin_start date, -- of a credit note: the first day of the month that it corrects
    corrects text NOT NULL DEFAULT '', -- of a credit note: the number of the invoice that it is about
    reason text NOT NULL DEFAULT '' CHECK (reason IN ('', 'correction')),
    PRIMARY KEY (payer_id, invoice_id),
    UNIQUE NULLS NOT DISTINCT (payer_id, period_start, kind, origin_start),
    CHECK ((kind = 'credit_note') = (origin_start IS NOT NULL AND corrects <> '' AND reason <> ''))
);

-- No foreign keys: these rows come and go with their draft, in the same statements.
CREATE TABLE draft_lines (
    invoice_id bigint NOT NULL,
    unit_size bigint NOT NULL,
    events bigint NOT NULL,
    base_quantity bigint NOT NULL,
    amount_minor bigint NOT NULL,
    payer_id integer NOT NULL,
    line_no integer NOT NULL,
    unit_price numeric(24, 12) NOT NULL,
    unit_price_exact text, -- where twelve decimals do not hold it
    product text NOT NULL,
    element text NOT NULL,
    country text NOT NULL,
    destination text NOT NULL,
    tier text NOT NULL,
    unit text NOT NULL,
    base_unit text NOT NULL,
    residual text NOT NULL, -- exact minus rounded, in major units: a fraction in lowest terms
    origin_period text NOT NULL,
    cards text[] NOT NULL,
    PRIMARY KEY (payer_id, invoice_id, line_no)
);

-- The integers that were priced, summed over the period; `summed_sha256` is of these rows, and `billed_sha256` stands for
-- them day by day.
CREATE TABLE draft_billed_totals (
    invoice_id bigint NOT NULL,
    events bigint NOT NULL,
    quantity bigint NOT NULL,
    payer_id integer NOT NULL,
    account_id integer NOT NULL,
    price_id integer NOT NULL,
    country text COLLATE "C" NOT NULL,
    PRIMARY KEY (payer_id, invoice_id, account_id, price_id, country)
);

-- The last number given in each series. It moves in the transaction that issues, so that no number is ever missing.
CREATE TABLE invoice_numbers (
    legal_entity text NOT NULL,
    series text NOT NULL,
    last bigint NOT NULL CHECK (last >= 0),
    PRIMARY KEY (legal_entity, series)
);

CREATE TABLE invoices (
    invoice_id bigint NOT NULL,
    number bigint NOT NULL CHECK (number > 0),
    total_minor bigint NOT NULL,
    snapshot_id bigint NOT NULL, -- in billed_batches: what usage the invoice is of
    payer_id integer NOT NULL REFERENCES accounts,
    lines integer NOT NULL CHECK (lines > 0),
    period_start date NOT NULL,
    period_end date NOT NULL CHECK (period_end > period_start),
    issued_on date NOT NULL,
    due_on date NOT NULL CHECK (due_on >= issued_on),
    series text NOT NULL,
    kind text NOT NULL,
    currency text NOT NULL,
    account text COLLATE "C" NOT NULL,
    name text NOT NULL,
    address text[] NOT NULL,
    tax_id text NOT NULL,
    language text NOT NULL,
    legal_entity text NOT NULL,
    billed_sha256 bytea NOT NULL,
    summed_sha256 bytea NOT NULL,
    sha256 bytea NOT NULL,
    origin_start date,
    corrects text NOT NULL DEFAULT '',
    reason text NOT NULL DEFAULT '' CHECK (reason IN ('', 'correction')),
    PRIMARY KEY (payer_id, invoice_id),
    -- One invoice of a month; and of each month that it corrects one credit note.
    UNIQUE NULLS NOT DISTINCT (payer_id, period_start, kind, origin_start),
    UNIQUE (legal_entity, series, number),
    CHECK ((kind = 'credit_note') = (origin_start IS NOT NULL AND corrects <> '' AND reason <> ''))
);
CREATE INDEX ON invoices (period_start, payer_id);

CREATE TABLE invoice_lines (
    LIKE draft_lines INCLUDING INDEXES,
    FOREIGN KEY (payer_id, invoice_id) REFERENCES invoices
);

CREATE TABLE invoice_billed_totals (
    LIKE draft_billed_totals INCLUDING INDEXES,
    FOREIGN KEY (payer_id, invoice_id) REFERENCES invoices
);

-- What happens to an invoice after it is final. Its status is read from these.
CREATE TABLE invoice_events (
    entry bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    invoice_id bigint NOT NULL,
    payer_id integer NOT NULL,
    at timestamptz NOT NULL,
    event text NOT NULL CHECK (event IN ('issued')),
    actor text NOT NULL,
    FOREIGN KEY (payer_id, invoice_id) REFERENCES invoices
);
CREATE INDEX ON invoice_events (payer_id, invoice_id);

SELECT keep_for_good('billed_batches', 'invoices', 'invoice_lines', 'invoice_billed_totals', 'invoice_events');
