CREATE TABLE accounts (
    id      INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner   TEXT NOT NULL,
    balance BIGINT NOT NULL CHECK (balance >= 0) -- cents; the handler refuses first
);

CREATE TABLE transfers (
    id         UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    request_id TEXT NOT NULL,
    amount     BIGINT NOT NULL CHECK (amount > 0),
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- Two entries for each transfer, which add up to nothing.
CREATE TABLE entries (
    transfer_id UUID NOT NULL REFERENCES transfers (id),
    account_id  INTEGER NOT NULL REFERENCES accounts (id),
    amount      BIGINT NOT NULL
);
CREATE INDEX entries_account ON entries (account_id);

CREATE TABLE notices (
    transfer_id UUID NOT NULL,
    account_id  INTEGER NOT NULL,
    text        TEXT NOT NULL
);
