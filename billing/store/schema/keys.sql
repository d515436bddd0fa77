-- Keys of the service. What callers present is nowhere: its digest is. Rows of keys and of their ends are added under
-- the lock of `keys`, one transaction after the other, so that the highest number of each says whether there are more.

-- What this database is for. There is one row at most, and it stays.
CREATE TABLE deployment (
    is_one boolean PRIMARY KEY DEFAULT true CHECK (is_one),
    mode text NOT NULL CHECK (mode IN ('live', 'test')),
    noted_at timestamptz NOT NULL
);

CREATE TABLE keys (
    key_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL CHECK (name <> ''),
    sha256 bytea NOT NULL UNIQUE CHECK (octet_length(sha256) = 32), -- of the whole token
    scopes text[] NOT NULL CHECK (scopes <> '{}' AND scopes <@ ARRAY['ingest', 'read', 'finance', 'admin']),
    source text COLLATE "C" NOT NULL, -- '': reports name theirs
    account_id integer REFERENCES accounts, -- of a customer's key
    expires_at timestamptz CHECK (expires_at > added_at),
    added_at timestamptz NOT NULL,
    CHECK (account_id IS NULL OR (scopes = ARRAY['read'] AND source = ''))
);
CREATE INDEX ON keys (name);

CREATE TABLE key_ends (
    end_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key_id integer NOT NULL REFERENCES keys,
    cause text NOT NULL CHECK (cause IN ('replaced', 'revoked')),
    ends_at timestamptz NOT NULL -- the earliest holds
);
CREATE INDEX ON key_ends (key_id, cause);

SELECT keep_for_good('deployment', 'keys', 'key_ends');

-- When keys were used last, to the minute.
CREATE TABLE key_uses (
    key_id integer PRIMARY KEY REFERENCES keys,
    used_at timestamptz NOT NULL
) WITH (fillfactor = 50);
