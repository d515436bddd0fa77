-- What a contract says of money beside its cards: discounts, commitment, credits, as its file writes them.

ALTER TABLE contracts ADD COLUMN terms jsonb NOT NULL DEFAULT '{}';
