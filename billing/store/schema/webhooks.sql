-- Webhooks: whom to tell, what there was to tell, and what came of it.

CREATE TABLE webhook_endpoints (
    endpoint_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    url text NOT NULL,
    types text[] NOT NULL, -- {} is all
    account_id integer REFERENCES accounts, -- whose messages, with those below it; null is the operator's: of all
    description text NOT NULL,
    secret text NOT NULL, -- whsec_…: it signs, so it cannot be kept as a digest; '' of one that is removed
    old_secret text NOT NULL DEFAULT '', -- signs too, until old_until
    old_until timestamptz,
    created_at timestamptz NOT NULL,
    failing_since timestamptz, -- the first failure after the last message that was taken
    left_until timestamptz, -- it asked to be left alone until then
    disabled_at timestamptz,
    disabled_why text CHECK (disabled_why IN ('asked', 'gone', 'failing', 'removed')),
    CHECK ((disabled_at IS NULL) = (disabled_why IS NULL)),
    CHECK (secret <> '' OR disabled_why = 'removed')
);

-- The outbox. A message is written in the transaction of what it tells of, and only where there is an endpoint.
CREATE TABLE webhook_messages (
    message_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    id text COLLATE "C" NOT NULL UNIQUE, -- msg_…: the `webhook-id`
    type text NOT NULL,
    subject text COLLATE "C" NOT NULL CHECK (subject <> ''),
    account text COLLATE "C" NOT NULL, -- '' is nobody's
    body text NOT NULL, -- as it is sent and signed, to the byte
    UNIQUE (type, subject) -- told once
);
CREATE INDEX ON webhook_messages (at);

SELECT keep_for_good('webhook_messages');

-- What becomes of a message at an endpoint. A worker claims a delivery before it sends, and while the claim lasts nobody
-- else sends it; who dies in between leaves a claim that ends by itself, and the same message is sent again.
CREATE TABLE webhook_deliveries (
    message_id bigint NOT NULL REFERENCES webhook_messages,
    endpoint_id integer NOT NULL REFERENCES webhook_endpoints,
    failures smallint NOT NULL DEFAULT 0, -- since it began, or was last replayed
    claim integer NOT NULL DEFAULT 0, -- how often it was claimed
    claimed_until timestamptz,
    next_at timestamptz, -- when it is tried
    ended_at timestamptz, -- when it was delivered or died
    state text NOT NULL CHECK (state IN ('pending', 'retry', 'delivered', 'dead')),
    PRIMARY KEY (endpoint_id, message_id),
    CHECK ((state IN ('pending', 'retry')) = (next_at IS NOT NULL)),
    CHECK ((state IN ('delivered', 'dead')) = (ended_at IS NOT NULL))
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, next_at) WHERE state IN ('pending', 'retry');
CREATE INDEX webhook_deliveries_dead ON webhook_deliveries (endpoint_id, message_id) WHERE state = 'dead';
CREATE INDEX webhook_deliveries_ended ON webhook_deliveries (ended_at) WHERE ended_at IS NOT NULL;

-- Every try, and what was answered.
CREATE TABLE webhook_attempts (
    attempt_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id bigint NOT NULL,
    endpoint_id integer NOT NULL,
    at timestamptz NOT NULL,
    status smallint NOT NULL, -- 0: no answer
    said text NOT NULL,
    problem text NOT NULL,
    FOREIGN KEY (endpoint_id, message_id) REFERENCES webhook_deliveries
);
CREATE INDEX ON webhook_attempts (endpoint_id, message_id, attempt_id);
