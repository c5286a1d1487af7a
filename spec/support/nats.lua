-- A blocking NATS client over libnats, for specs: many calls may be outstanding, all replies come
-- to one inbox and are told apart by a token. It shares no code with the host.
local ffi = require "ffi"
local cjson = require "cjson"
local proc = require "spec.support.proc"
local once = require "spec.support.once"

local lib = once("lib.nats", function()
  ffi.cdef [[
    typedef struct natsOptions natsOptions;
    typedef struct natsConnection natsConnection;
    typedef struct natsSubscription natsSubscription;
    typedef struct natsMsg natsMsg;
    typedef int natsStatus;
    const char *natsStatus_GetText(natsStatus s);
    natsStatus natsOptions_Create(natsOptions **o);
    natsStatus natsOptions_SetServers(natsOptions *o, const char **urls, int n);
    natsStatus natsOptions_SetTimeout(natsOptions *o, int64_t ms);
    natsStatus natsOptions_SetName(natsOptions *o, const char *name);
    natsStatus natsOptions_SetMaxReconnect(natsOptions *o, int n);
    natsStatus natsOptions_SetReconnectWait(natsOptions *o, int64_t ms);
    natsStatus natsOptions_DisableNoResponders(natsOptions *o, bool on);
    natsStatus natsOptions_SetSecure(natsOptions *o, bool on);
    natsStatus natsOptions_LoadCATrustedCertificates(natsOptions *o, const char *path);
    void natsOptions_Destroy(natsOptions *o);
    natsStatus natsConnection_Connect(natsConnection **c, natsOptions *o);
    natsStatus natsConnection_PublishMsg(natsConnection *c, natsMsg *m);
    natsStatus natsConnection_SubscribeSync(natsSubscription **s, natsConnection *c,
                                            const char *subject);
    natsStatus natsConnection_FlushTimeout(natsConnection *c, int64_t ms);
    int natsConnection_Status(natsConnection *c);
    void natsConnection_Close(natsConnection *c);
    void natsConnection_Destroy(natsConnection *c);
    natsStatus natsSubscription_SetPendingLimits(natsSubscription *s, int msgs, int bytes);
    natsStatus natsSubscription_NextMsg(natsMsg **m, natsSubscription *s, int64_t timeout_ms);
    void natsSubscription_Destroy(natsSubscription *s);
    natsStatus natsMsg_Create(natsMsg **m, const char *subject, const char *reply,
                              const char *data, int n);
    const char *natsMsg_GetSubject(const natsMsg *m);
    const char *natsMsg_GetReply(const natsMsg *m);
    const char *natsMsg_GetData(const natsMsg *m);
    int natsMsg_GetDataLength(const natsMsg *m);
    natsStatus natsMsgHeader_Set(natsMsg *m, const char *name, const char *value);
    natsStatus natsMsgHeader_Get(natsMsg *m, const char *name, const char **value);
    natsStatus natsMsgHeader_Keys(natsMsg *m, const char ***keys, int *n);
    void natsMsg_Destroy(natsMsg *m);
    void free(void *p);
    void *dlopen(const char *name, int flags);
  ]]
  local RTLD_LAZY, RTLD_NODELETE = 1, 0x1000
  for _, name in ipairs { "libnats.so.3", "libnats.so.3.4", "nats" } do
    local ok, found = pcall(ffi.load, name)
    if ok then
      -- Its threads run on when the Lua state closes and would lose their code.
      ffi.C.dlopen(name, RTLD_LAZY + RTLD_NODELETE)
      return found
    end
  end
  error "libnats is not installed (apt-get install libnats-dev)"
end)

local OK, TIMEOUT, CONNECTED = 0, 26, 2
local NO_RESPONDERS = 34

local _M = { null = cjson.null, json = cjson.encode, decode = cjson.decode }

local function check(status, what)
  if status ~= OK then
    error(("nats: %s: %s"):format(what, ffi.string(lib.natsStatus_GetText(status))), 3)
  end
end

local random = assert(io.open("/dev/urandom", "rb"))

--- A random UUID.
function _M.uuid()
  local hex = random:read(16):gsub(".", function(c)
    return ("%02x"):format(c:byte())
  end)
  return ("%s-%s-4%s-a%s-%s"):format(hex:sub(1, 8), hex:sub(9, 12), hex:sub(14, 16),
    hex:sub(18, 20), hex:sub(21, 32))
end

-- ---------------------------------------------------------------- messages

local function headers_of(message)
  local keys, n, value = ffi.new("const char **[1]"), ffi.new("int[1]"), ffi.new("const char *[1]")
  local headers = {}
  if lib.natsMsgHeader_Keys(message, keys, n) ~= OK then
    return headers
  end
  for i = 0, n[0] - 1 do
    if lib.natsMsgHeader_Get(message, keys[0][i], value) == OK and value[0] ~= nil then
      headers[ffi.string(keys[0][i])] = ffi.string(value[0])
    end
  end
  ffi.C.free(ffi.cast("void *", keys[0]))
  return headers
end

-- Copies what the specs look at and gives the library's message back.
local function take(message)
  local reply = lib.natsMsg_GetReply(message)
  local n = lib.natsMsg_GetDataLength(message)
  local m = {
    subject = ffi.string(lib.natsMsg_GetSubject(message)),
    reply = reply ~= nil and ffi.string(reply) or nil,
    raw = n > 0 and ffi.string(lib.natsMsg_GetData(message), n) or "",
    headers = headers_of(message),
    at = proc.now_ms(),
  }
  lib.natsMsg_Destroy(message)
  local ok, body = pcall(cjson.decode, m.raw)
  m.body = ok and body or nil
  m.status = tonumber(m.headers["Status-Code"])
  m.version = m.headers["RBF-Code-Version"]
  return m
end

-- nil when nothing came in time. That nobody listens is a message without subject: libnats keeps it
-- to itself.
local function next_message(sub, timeout_ms)
  local m = ffi.new("natsMsg *[1]")
  local status = lib.natsSubscription_NextMsg(m, sub, timeout_ms)
  if status == TIMEOUT then
    return nil
  end
  if status == NO_RESPONDERS then
    return { subject = "", raw = "", headers = {}, no_responders = true }
  end
  check(status, "next message")
  return take(m[0])
end

-- ---------------------------------------------------------------- connection

local Client = {}
Client.__index = Client

--- o: ca = file of CAs (then by TLS), inbox = prefix of its inbox ("_INBOX"), no_responders: a
--- request that nobody listens for is told so, see Client:ask.
function _M.connect(url, o)
  o = o or {}
  local options, conn = ffi.new("natsOptions *[1]"), ffi.new("natsConnection *[1]")
  check(lib.natsOptions_Create(options), "options")
  local urls = {}
  for one in url:gmatch "[^,]+" do urls[#urls + 1] = one end
  check(lib.natsOptions_SetServers(options[0], ffi.new("const char *[?]", #urls, urls), #urls), "servers")
  lib.natsOptions_SetName(options[0], "spec")
  lib.natsOptions_SetTimeout(options[0], proc.PATIENCE_MS)
  lib.natsOptions_SetMaxReconnect(options[0], -1)
  lib.natsOptions_SetReconnectWait(options[0], 50)
  lib.natsOptions_DisableNoResponders(options[0], not o.no_responders)
  if o.ca then
    lib.natsOptions_SetSecure(options[0], true)
    check(lib.natsOptions_LoadCATrustedCertificates(options[0], o.ca), "CA " .. o.ca)
  end
  local status = lib.natsConnection_Connect(conn, options[0])
  lib.natsOptions_Destroy(options[0])
  check(status, "connect to " .. url)
  local self = setmetatable({
    conn = conn[0],
    inbox = (o.inbox or "_INBOX") .. "." .. _M.uuid():gsub("-", ""),
    waiting = {}, -- token → function(message)
    count = 0,
    subs = {},
  }, Client)
  self.sub = self:subscribe(self.inbox .. ".>")
  return self
end

--- A subscription; read it with client:next(sub, timeout_ms).
function Client:subscribe(subject)
  local sub = ffi.new("natsSubscription *[1]")
  check(lib.natsConnection_SubscribeSync(sub, self.conn, subject), "subscribe")
  check(lib.natsSubscription_SetPendingLimits(sub[0], -1, -1), "pending limits")
  check(lib.natsConnection_FlushTimeout(self.conn, proc.PATIENCE_MS), "flush")
  self.subs[#self.subs + 1] = sub[0]
  return sub[0]
end

-- luacheck: ignore 212/self
function Client:next(sub, timeout_ms)
  return next_message(sub, timeout_ms or 0)
end

function Client:connected()
  return lib.natsConnection_Status(self.conn) == CONNECTED
end

function Client:flush()
  check(lib.natsConnection_FlushTimeout(self.conn, proc.PATIENCE_MS), "flush")
end

function Client:close()
  if self.conn then
    -- In this order: to destroy a subscription of a live connection can crash libnats 3.4.
    lib.natsConnection_Close(self.conn)
    for _, sub in ipairs(self.subs) do
      lib.natsSubscription_Destroy(sub)
    end
    lib.natsConnection_Destroy(self.conn)
    self.conn = nil
  end
end

--- Core publish of {subject, headers, data, reply}; data is sent as it is.
function Client:publish(o)
  local m = ffi.new("natsMsg *[1]")
  local data = o.data or ""
  check(lib.natsMsg_Create(m, o.subject, o.reply, data, #data), "message")
  for name, value in pairs(o.headers or {}) do
    lib.natsMsgHeader_Set(m[0], name, tostring(value))
  end
  local status = lib.natsConnection_PublishMsg(self.conn, m[0])
  lib.natsMsg_Destroy(m[0])
  check(status, "publish to " .. o.subject)
end

-- An inbox subject whose messages go to on_message.
function Client:expect(on_message)
  self.count = self.count + 1
  local token = tostring(self.count)
  self.waiting[token] = on_message
  return self.inbox .. "." .. token, token
end

--- Takes what has arrived on the inbox, waiting at most timeout_ms for the first; how many.
function Client:pump(timeout_ms)
  local n = 0
  local m = next_message(self.sub, timeout_ms or 0)
  while m do
    n = n + 1
    local handler = self.waiting[m.subject:match("([^.]+)$")]
    if m.no_responders then
      self.nobody = (self.nobody or 0) + 1
    elseif handler then
      handler(m)
    end
    m = next_message(self.sub, 0)
  end
  return n
end

-- Pumps until done() or the time is over; what done() gave.
function Client:pump_until(done, timeout_ms)
  local deadline = proc.now_ms() + timeout_ms
  while true do
    local value = done()
    local left = deadline - proc.now_ms()
    if value or left <= 0 then
      return value
    end
    self:pump(math.max(1, math.min(left, 50)))
  end
end

--- Request and one reply with the NATS reply field; nil when none came in time.
function Client:request(o, timeout_ms)
  local answer
  local token
  o.reply, token = self:expect(function(m)
    answer = m
  end)
  self:publish(o)
  self:pump_until(function()
    return answer
  end, timeout_ms or proc.PATIENCE_MS)
  self.waiting[token] = nil
  return answer
end

--- Plain requests, each {subject, headers, data = table or text, reply = subject}, all under way at
--- once, as any NATS client sends them. Waits until each has one message, then `linger` ms for more:
--- a list of {status, body, raw, headers, version, count = messages, ms}, and how many are missing.
function Client:ask_many(list, o)
  o = o or {}
  local answers, missing = {}, #list
  for i, one in ipairs(list) do
    local at = proc.now_ms()
    local reply = self:expect(function(m)
      if answers[i] then
        answers[i].count = answers[i].count + 1
        return
      end
      m.count, m.ms = 1, m.at - at
      answers[i] = m
      missing = missing - 1
    end)
    local data = one.data
    self:publish {
      subject = one.subject, headers = one.headers, reply = one.reply or reply,
      data = type(data) == "string" and data or data == nil and "null" or cjson.encode(data),
    }
  end
  self:pump_until(function()
    return missing == 0
  end, o.timeout or proc.PATIENCE_MS)
  self:pump_until(function() end, o.linger or 0)
  return answers, missing
end

--- One plain request; an error when no answer came.
function Client:ask(subject, data, o)
  o = o or {}
  local answers = self:ask_many({ { subject = subject, data = data, headers = o.headers } }, o)
  return answers[1] or error("no answer from " .. subject, 2)
end

--- Does anybody listen for plain requests there? The client was made with no_responders; a request
--- that somebody takes is sent without a reply.
function Client:has_responders(subject)
  local before = self.nobody or 0
  local token = self:expect(function() end)
  self:publish { subject = subject, data = "null", reply = token }
  self:request({ subject = "$JS.API.INFO" }) -- what came before it has come
  return (self.nobody or 0) == before
end

-- ---------------------------------------------------------------- calls to the host

local Request = {}
Request.__index = Request

--- Publishes {subject, data = table or text, id = request id (random; false: none), headers,
--- reply = false for no Reply-To} into its stream, without waiting. The returned request is
--- filled in while somebody pumps: ack (the PubAck), reply (the first answer), replies (how many).
function Client:start(o)
  local data = o.data
  if type(data) ~= "string" then
    data = data == nil and "null" or cjson.encode(data)
  end
  local request = setmetatable({ subject = o.subject, data = data, replies = 0, headers = {} },
    Request)
  if o.id ~= false then
    request.id = o.id or _M.uuid()
    request.headers["Request-Id"] = request.id
  end
  if o.reply ~= false then
    request.headers["Reply-To"] = self:expect(function(m)
      request.replies = request.replies + 1
      if request.replies > 1 then
        request.extra = m
        return
      end
      request.reply = m
    end)
  end
  for name, value in pairs(o.headers or {}) do
    request.headers[name] = value
  end
  self:send(request)
  return request
end

--- (Again) puts a request on the wire, asking for a PubAck.
function Client:send(request)
  request.sent_at = proc.now_ms()
  request.ack_subject = request.ack_subject or self:expect(function(m)
    if m.body and not m.body.error then
      request.ack = m.body
    else
      request.ack_error = m.raw
    end
  end)
  self:publish {
    subject = request.subject, headers = request.headers, data = request.data,
    reply = request.ack_subject,
  }
end

--- Waits until each request of the list has a reply (or, field = "ack", its PubAck). Returns how
--- many still have none.
function Client:wait_all(requests, timeout_ms, field)
  field = field or "reply"
  local first = 1
  self:pump_until(function()
    while requests[first] and requests[first][field] do
      first = first + 1
    end
    return first > #requests
  end, timeout_ms or proc.PATIENCE_MS)
  local missing = 0
  for _, request in ipairs(requests) do
    if not request[field] then
      missing = missing + 1
    end
  end
  return missing
end

--- start and wait for the reply: {status, body, raw, headers, version}. An error when none came.
function Client:call(subject, data, o)
  o = o or {}
  local request = self:start { subject = subject, data = data, id = o.id, headers = o.headers }
  local timeout = o.timeout or proc.PATIENCE_MS
  if self:wait_all({ request }, timeout) > 0 then
    error(("no reply from %s within %d ms%s"):format(subject, timeout,
      request.ack and "" or request.ack_error and (": " .. request.ack_error)
        or " (not even a PubAck)"), 2)
  end
  return request.reply
end

--- Puts a message into its stream as it is (no added headers) and returns the PubAck.
function Client:store(o)
  local answer = self:request({ subject = o.subject, headers = o.headers, data = o.data })
  if not (answer and answer.body) or answer.body.error then
    error("not stored: " .. (answer and answer.raw or "no PubAck"), 2)
  end
  return answer.body
end

-- ---------------------------------------------------------------- JetStream

--- A raw request to $JS.API.<api>; the decoded answer. Asked again after a while: an answer can go
--- with a server that is killed.
function Client:js(api, body)
  for _ = 1, proc.PATIENCE_MS / 5000 do
    local answer = self:request({
      subject = "$JS.API." .. api, data = body and cjson.encode(body) or "",
    }, 5000)
    if answer then return answer.body end
  end
end

--- Name of the stream a subject belongs to, or nil.
function Client:stream_of(subject)
  local answer = self:js("STREAM.NAMES", { subject = subject })
  local names = answer and answer.streams
  return type(names) == "table" and names[1] or nil
end

--- Waits until a stream takes messages of this subject: nats-server 2.9 lists a new one before it
--- listens, and what is published in between is lost without an answer.
function Client:await_stream(subject)
  proc.eventually(function()
    if not self:stream_of(subject) then return false end
    local refusal = self:request({ subject = subject, headers = { ["Nats-Expected-Stream"] = "no-such-stream" } }, 1000)
    return refusal and refusal.body and refusal.body.error
  end, 20000, "a stream for " .. subject)
end

--- Messages stored, and what its consumers say: {messages, pending (not delivered), ack_pending,
--- delivered (deliveries so far), redelivered (of what is pending), waiting (pulls), delivered_seq}.
function Client:stream_info(name)
  local answer = self:js("STREAM.INFO." .. name)
  if not answer or answer.error then
    return nil
  end
  local info = {
    messages = answer.state.messages, last_seq = answer.state.last_seq,
    description = answer.config.description, config = answer.config,
    pending = 0, ack_pending = 0, delivered = 0, redelivered = 0, waiting = 0, delivered_seq = 0,
  }
  local list = self:js("CONSUMER.LIST." .. name, {})
  for _, consumer in ipairs(list and type(list.consumers) == "table" and list.consumers or {}) do
    info.pending = info.pending + consumer.num_pending
    info.ack_pending = info.ack_pending + consumer.num_ack_pending
    info.delivered = info.delivered + consumer.delivered.consumer_seq
    info.redelivered = info.redelivered + consumer.num_redelivered
    info.waiting = info.waiting + consumer.num_waiting
    info.delivered_seq = math.max(info.delivered_seq, consumer.delivered.stream_seq)
  end
  return info
end

return _M
