-- Approvals: who signed which drafts of a period, and what was signed. Rows are added and never changed; the newest
-- approval of a period is the one that holds, and signs all that it issues.

CREATE TABLE approvals (
    approval_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    period_start date NOT NULL,
    at timestamptz NOT NULL,
    approver text NOT NULL CHECK (approver <> ''),
    drawn_by text[] NOT NULL, -- whoever ran what is signed
    drafts integer NOT NULL CHECK (drafts >= 0),
    sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32) -- of the period and all of its signed drafts
);
CREATE INDEX ON approvals (period_start, approval_id);

CREATE TABLE approved_drafts (
    approval_id bigint NOT NULL REFERENCES approvals,
    invoice_id bigint NOT NULL, -- of the draft, and of the invoice that it becomes
    payer_id integer NOT NULL REFERENCES accounts,
    account text COLLATE "C" NOT NULL,
    sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32), -- of the draft: its lines, and the totals behind them
    inputs_sha256 bytea NOT NULL CHECK (octet_length(inputs_sha256) = 32), -- of its contracts and card versions
    origin_start date, -- of a credit note: the month that it corrects
    PRIMARY KEY (approval_id, invoice_id)
);

SELECT keep_for_good('approvals', 'approved_drafts');

-- Accounts that a safety bound held back, and who let them go on, why, and at which total.
CREATE TABLE bound_releases (
    release_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    period_start date NOT NULL,
    payer_id integer NOT NULL REFERENCES accounts,
    at timestamptz NOT NULL,
    person text NOT NULL CHECK (person <> ''),
    reason text NOT NULL CHECK (reason <> ''),
    held text NOT NULL, -- why it was held back
    total_minor bigint NOT NULL,
    waiting bigint NOT NULL, -- events that waited for a price
    mismatches text[] NOT NULL, -- control totals that did not match, and what differed
    causes text[] NOT NULL CHECK (causes <> '{}') -- which of these held it back: nothing else is released
);
CREATE INDEX ON bound_releases (period_start, payer_id, release_id);

SELECT keep_for_good('bound_releases');
