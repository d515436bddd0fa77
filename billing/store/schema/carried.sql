-- What drafts took from bills of other months: what each credit had paid there (`credit`, its id, minor units), and the bill
-- that a support plan is of (`support`, its month, the bill's digest, '' of a month that came to nothing). A run writes
-- those of its period anew. A draft is issued only while all of it is still so.
CREATE TABLE draft_carried (
    payer_id integer NOT NULL REFERENCES accounts,
    period_start date NOT NULL,
    what text NOT NULL CHECK (what IN ('credit', 'support')),
    name text NOT NULL,
    said text NOT NULL,
    PRIMARY KEY (payer_id, period_start, what, name)
);
