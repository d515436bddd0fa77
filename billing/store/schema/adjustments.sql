-- Adjustments: months that were billed before, and of which the usage has changed since.

-- The months that a draft bills anew, beside its own. No foreign keys: these rows come and go with their draft.
CREATE TABLE draft_adjustments (
    invoice_id bigint NOT NULL,
    payer_id integer NOT NULL,
    step integer NOT NULL CHECK (step >= 0), -- how many invoices and credit notes had billed the month when it was drawn
    folds bigint NOT NULL, -- of the month in touched_months, as its snapshot saw them
    origin_start date NOT NULL,
    origin_end date NOT NULL CHECK (origin_end > origin_start),
    billed_sha256 bytea NOT NULL CHECK (octet_length(billed_sha256) = 32), -- of the month's daily totals that were priced
    summed_sha256 bytea NOT NULL CHECK (octet_length(summed_sha256) = 32), -- of its draft_adjusted_totals
    PRIMARY KEY (payer_id, invoice_id, origin_start)
);

-- The integers of those months that were priced, all of them, summed over the month.
CREATE TABLE draft_adjusted_totals (
    invoice_id bigint NOT NULL,
    events bigint NOT NULL,
    quantity bigint NOT NULL,
    payer_id integer NOT NULL,
    account_id integer NOT NULL,
    price_id integer NOT NULL,
    origin_start date NOT NULL,
    country text COLLATE "C" NOT NULL,
    PRIMARY KEY (payer_id, invoice_id, origin_start, account_id, price_id, country)
);

CREATE TABLE invoice_adjustments (
    LIKE draft_adjustments INCLUDING INDEXES,
    FOREIGN KEY (payer_id, invoice_id) REFERENCES invoices
);

CREATE TABLE invoice_adjusted_totals (
    LIKE draft_adjusted_totals INCLUDING INDEXES,
    FOREIGN KEY (payer_id, invoice_id) REFERENCES invoices
);

-- What has billed a month of a payer, one after the other: its invoice, and then what adjusted it. No turn is taken
-- twice, so that of two drafts of one difference only one can ever be issued.
CREATE TABLE billed_months (
    invoice_id bigint NOT NULL,
    payer_id integer NOT NULL,
    step integer NOT NULL CHECK (step >= 0),
    origin_start date NOT NULL,
    billed_sha256 bytea NOT NULL, -- of the month's daily totals that it is of
    contracts jsonb CHECK ((contracts IS NOT NULL) = (step = 0)), -- those of the month, as it was billed first
    PRIMARY KEY (payer_id, origin_start, step),
    FOREIGN KEY (payer_id, invoice_id) REFERENCES invoices
);
CREATE INDEX ON billed_months (origin_start, payer_id);

-- Adjustments that the newest run of a period left out, and why.
CREATE TABLE held_adjustments (
    payer_id integer NOT NULL REFERENCES accounts,
    period_start date NOT NULL,
    origin_start date NOT NULL,
    net_minor bigint NOT NULL,
    currency text NOT NULL,
    billed_sha256 bytea NOT NULL, -- of the month's daily totals
    releasable boolean NOT NULL, -- older than the late limit, until a person releases it
    why text NOT NULL,
    PRIMARY KEY (payer_id, period_start, origin_start)
);

-- Who let an adjustment go on that was older than the late limit, and at which usage: of any other it holds no more.
CREATE TABLE adjustment_releases (
    release_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payer_id integer NOT NULL REFERENCES accounts,
    origin_start date NOT NULL,
    at timestamptz NOT NULL,
    person text NOT NULL CHECK (person <> ''),
    reason text NOT NULL CHECK (reason <> ''),
    net_minor bigint NOT NULL,
    billed_sha256 bytea NOT NULL
);
CREATE INDEX ON adjustment_releases (origin_start, payer_id);

SELECT keep_for_good('invoice_adjustments', 'invoice_adjusted_totals', 'billed_months', 'adjustment_releases');
