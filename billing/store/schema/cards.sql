-- Published cards. A version owns the rate ids [rate_base, rate_base + rates) and the price ids
-- [price_base, price_base + prices), in the order of its rows and of `rates.prices.price_list`.

CREATE TABLE book_version (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version bigint NOT NULL
);
INSERT INTO book_version (version) VALUES (1);

CREATE TABLE products (
    product_id smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE
);

CREATE TABLE card_versions (
    card_version_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    card_id text COLLATE "C" NOT NULL,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    currency text NOT NULL,
    effective_from timestamptz NOT NULL,
    effective_to timestamptz CHECK (effective_to > effective_from),
    head text NOT NULL, -- TOML, without the rows
    rate_base bigint NOT NULL UNIQUE,
    rates integer NOT NULL,
    price_base integer NOT NULL UNIQUE,
    prices integer NOT NULL,
    published_at timestamptz NOT NULL,
    published_by text NOT NULL,
    -- This copy of the card: its rows in this order under these ids, which `hash` does not say. What is compiled from
    -- it is filed under this name.
    stored_as uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    -- The version from the same instant in whose place this one stands. A chain: one first, and each replaced once.
    replaces integer UNIQUE REFERENCES card_versions,
    UNIQUE NULLS NOT DISTINCT (card_id, effective_from, replaces)
);

-- What cards say: the versions that nobody replaced. Of the others no usage is rated any more.
CREATE VIEW standing_versions AS
    SELECT * FROM card_versions AS version
    WHERE NOT EXISTS (SELECT FROM card_versions AS other WHERE other.replaces = version.card_version_id);

-- Cells as the card's canonical form has them; NULL is the default of FORMATS section 2.
CREATE TABLE rates (
    rate_id bigint PRIMARY KEY,
    card_version_id integer NOT NULL, -- references card_versions, see check_rates
    "row" integer NOT NULL,
    product text, element text, country text, prefixes text, origin_prefixes text, origin text, exact text,
    mcc text, mnc text, number_type text, region text, package text, jurisdiction text,
    "window" text, destination text, unit text, prices text, steps text, tiers text, increments text, setup_fee text,
    min_charge text, max_charge text, free_units text, block text, grace text, max_quantity text, blocked text,
    effective_from text, effective_to text,
    declared text -- further dimensions, as a JSON object
);

-- A foreign key would look up the same version once a row, which makes publication take twice as long.
CREATE FUNCTION check_rates() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (
        SELECT FROM added LEFT JOIN card_versions v USING (card_version_id)
        WHERE v.card_version_id IS NULL OR rate_id NOT BETWEEN v.rate_base AND v.rate_base + v.rates - 1
    ) THEN
        RAISE EXCEPTION 'a rate is outside of its card version' USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER rates_are_of_versions AFTER INSERT ON rates REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION check_rates();

CREATE TABLE prices (
    price_id integer PRIMARY KEY,
    card_version_id integer NOT NULL REFERENCES card_versions,
    product text NOT NULL,
    element text NOT NULL,
    destination text NOT NULL,
    number_type text NOT NULL,
    unit text NOT NULL,
    unit_size bigint NOT NULL,
    base text NOT NULL,
    prices text NOT NULL, -- plain decimals, one per tier
    schedule text NOT NULL,
    free_units text NOT NULL,
    block text NOT NULL
);

SELECT keep_for_good('card_versions', 'rates', 'prices');
ALTER TABLE rates ENABLE ALWAYS TRIGGER rates_are_of_versions;
