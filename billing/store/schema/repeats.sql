-- Answers to requests that carry an Idempotency-Key, for a day: the same request again gets the same answer.

CREATE TABLE repeats (
    seen_at timestamptz NOT NULL, -- when it was begun, or its process was last seen at work on it
    turn integer NOT NULL DEFAULT 1, -- which process it is that is at work on it, or answered it: the first, …
    status smallint, -- NULL: it is not answered yet
    key_id integer NOT NULL REFERENCES keys,
    name text COLLATE "C" NOT NULL, -- what the caller calls the request
    asked bytea NOT NULL CHECK (octet_length(asked) = 32), -- SHA-256 of what was asked
    kind text, -- the answer's media type
    answer bytea,
    PRIMARY KEY (key_id, name)
);
CREATE INDEX ON repeats (seen_at);
