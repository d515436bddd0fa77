-- Who used it, who pays, and by which contract.

CREATE TABLE accounts (
    account_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE CHECK (id <> ''),
    parent_id integer REFERENCES accounts,
    pays boolean NOT NULL,
    prepaid boolean NOT NULL CHECK (pays OR NOT prepaid),
    currency text NOT NULL,
    zone text NOT NULL,
    name text NOT NULL,
    address text[] NOT NULL,
    tax_id text NOT NULL,
    language text NOT NULL,
    legal_entity text NOT NULL,
    suspended tstzmultirange NOT NULL, -- when: its charges wait until it is reactivated
    added_at timestamptz NOT NULL
);

CREATE TABLE contracts (
    contract_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id integer NOT NULL REFERENCES accounts,
    effective_from date NOT NULL,
    cards text[] NOT NULL CHECK (cardinality(cards) > 0),
    terms jsonb NOT NULL DEFAULT '{}', -- what it says beside its cards, as its file writes it: discounts, commitment, credits
    added_at timestamptz NOT NULL,
    UNIQUE (account_id, effective_from)
);
