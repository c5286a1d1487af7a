-- The keys that may sign tokens: secrets we share with an issuer (HS256), or an issuer's public keys
-- as PEM (RS256). Each has one algorithm, so that no token chooses its own.
CREATE TABLE auth_keys (
  kid TEXT PRIMARY KEY,
  alg TEXT NOT NULL CHECK (alg IN ('HS256', 'RS256')),
  key TEXT NOT NULL,
  CHECK (alg <> 'HS256' OR octet_length(key) >= 32) -- RFC 7518, 3.2
);

CREATE TABLE users (
  id TEXT PRIMARY KEY, -- the token's subject
  email TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE mails (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id TEXT NOT NULL REFERENCES users (id),
  subject TEXT NOT NULL
);
