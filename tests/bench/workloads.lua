-- What is measured: operations of tests/bench/app, and what lies in the tables beside them.
--   results: how many rbf_results rows one message ends in (its own and its follow-ups')
--   table(scale) is run once on the fresh database; scale is 1, less in --quick
local CREATE = '{"email":"%u@example.com","name":"Bench"}'

local function delayed(scale)
  return function(db)
    db:query([[INSERT INTO rbf_outbox (source_request_id, type, path, data, headers, target_at)
      SELECT 'bench', 'request', 'events.note', '{"text":"later"}',
        '{"RBF-Request-Id":"00000000-0000-0000-0000-000000000000"}',
        (EXTRACT(EPOCH FROM now()) * 1000)::bigint + 86400000 + (random() * 86400000)::bigint
      FROM generate_series(1, $1::int)]], 1000000 * scale)
  end
end

-- Results of the ten hours past, whose ids begin with their time (UUIDv7), or are random.
local function old(id)
  return function(scale)
    return function(db)
      db:exec "ALTER TABLE rbf_results DROP CONSTRAINT rbf_results_pkey; DROP INDEX rbf_results_age"
      db:query([[INSERT INTO rbf_results (request_id, requested_path, requested_input, data, status, code_version, created_at)
        SELECT ]] .. id .. [[, 'jobs.create', '{"email":"0123456789abcdef@example.com","name":"Bench"}',
          '{"id":"00000000-0000-0000-0000-000000000000","name":"Bench","email":"0123456789abcdef@example.com"}', 200,
          '0123456789ab', ms
        FROM generate_series(1, $1::int) i, LATERAL (SELECT (EXTRACT(EPOCH FROM now()) * 1000)::bigint - 36000000
          + i::bigint * 36000000 / $1::int AS ms, md5(i::text || random()) AS hex) x]], 5000000 * scale)
      db:exec [[ALTER TABLE rbf_results ADD PRIMARY KEY (namespace, request_id);
        CREATE INDEX rbf_results_age ON rbf_results (namespace, created_at)]]
    end
  end
end

local V7 = [[substr(lpad(to_hex(ms), 12, '0'), 1, 8) || '-' || substr(lpad(to_hex(ms), 12, '0'), 9, 4) || '-7'
  || substr(hex, 1, 3) || '-a' || substr(hex, 4, 3) || '-' || substr(hex, 7, 12)]]
local V4 = [[uuid(hex)::text]]

local function transfer(name, accounts)
  return { name = name, subject = "transfer", data = '{"from":%a,"to":%b}', results = 1, accounts = accounts }
end

return {
  { name = "noop", subject = "noop", results = 1, ceiling = "noop" },
  { name = "create", subject = "create", data = CREATE, results = 2, ceiling = "create", idle = true },
  { name = "delayed", subject = "create", data = CREATE, results = 2, ceiling = "create", beside = "create", tables = delayed },
  { name = "old", subject = "create", data = CREATE, results = 2, ceiling = "create", beside = "create", tables = old(V7) },
  { name = "old-random", subject = "create", data = CREATE, results = 2, ceiling = "create", beside = "create", id = 4, tables = old(V4) },
  -- neighbours in the index, from an empty table
  { name = "signup", subject = "signup", data = '{"email":"u%n@example.com","name":"Bench"}', results = 1, fresh = true },
  transfer("transfer-10", 10),
  transfer("transfer-100", 100),
  transfer("transfer-5000", 5000),
  { name = "fanout", subject = "fanout", results = 101 },
  { name = "get", subject = "get.%a", rpc = true, accounts = 5000 },
}
