-- Where the payment provider is. Handlers have no environment: what differs from place to place is
-- a file, or main.lua's context.
return { payments = "http://127.0.0.1:8090" }
