-- Traces for the checker, written in the handlers' own transactions.
local note = {}

function note.effect(r, op)
  r.db:exec("INSERT INTO effects (request_id, op, attempt) VALUES ($1, $2, $3)", r.msg.requestId, op, r.msg.attempt)
end

function note.spawned(r, id, target_at)
  r.db:exec("INSERT INTO spawned VALUES ($1, $2, $3)", id, r.msg.requestId, target_at)
end

return note
