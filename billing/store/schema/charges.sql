-- What accounts owe without using anything. Which of it was posted is asked of event_identity, and noted nowhere else.

CREATE TABLE charges (
    charge_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE CHECK (id <> ''),
    account_id integer NOT NULL REFERENCES accounts,
    product text COLLATE "C" NOT NULL,
    effective_from timestamptz NOT NULL,
    effective_to timestamptz CHECK (effective_to > effective_from), -- as it was added; see charge_ends
    every text NOT NULL CHECK (every IN ('month', 'quarter', 'year', 'once')),
    timing text NOT NULL CHECK (timing IN ('advance', 'arrears')),
    drift boolean NOT NULL,
    lead_days integer NOT NULL CHECK (lead_days >= 0),
    quantity bigint NOT NULL CHECK (quantity > 0),
    dimensions jsonb NOT NULL,
    added_at timestamptz NOT NULL
);

-- Ends that were said later. The earliest holds, so that a charge may end sooner than was said, and never later.
CREATE TABLE charge_ends (
    charge_id integer NOT NULL REFERENCES charges,
    effective_to timestamptz NOT NULL,
    ended_at timestamptz NOT NULL,
    PRIMARY KEY (charge_id, effective_to)
);

SELECT keep_for_good('charges', 'charge_ends');
