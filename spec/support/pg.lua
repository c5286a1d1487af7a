-- A blocking PostgreSQL client over libpq, for specs.
local ffi = require "ffi"
local once = require "spec.support.once"

local lib = once("lib.pq", function()
  ffi.cdef [[
    typedef struct pg_conn PGconn;
    typedef struct pg_result PGresult;
    PGconn *PQconnectdb(const char *conninfo);
    int PQstatus(const PGconn *c);
    char *PQerrorMessage(const PGconn *c);
    void PQfinish(PGconn *c);
    PGresult *PQexec(PGconn *c, const char *sql);
    PGresult *PQexecParams(PGconn *c, const char *sql, int n, const unsigned *types,
                           const char *const *values, const int *lengths, const int *formats,
                           int format);
    int PQresultStatus(const PGresult *r);
    char *PQresultErrorMessage(const PGresult *r);
    int PQntuples(const PGresult *r);
    int PQnfields(const PGresult *r);
    char *PQfname(const PGresult *r, int column);
    int PQgetisnull(const PGresult *r, int row, int column);
    char *PQgetvalue(const PGresult *r, int row, int column);
    int PQgetlength(const PGresult *r, int row, int column);
    void PQclear(PGresult *r);
    typedef void (*PQnoticeProcessor)(void *arg, const char *message);
    int PQsetErrorVerbosity(PGconn *c, int verbosity);
  ]]
  return ffi.load "libpq.so.5"
end)

local CONNECTION_OK, COMMAND_OK, TUPLES_OK = 0, 1, 2

local Connection = {}
Connection.__index = Connection

local _M = {}

--- url is a URL or "key=value" string. nil and the message when it cannot connect.
function _M.try_connect(url)
  local conn = lib.PQconnectdb(url)
  if lib.PQstatus(conn) ~= CONNECTION_OK then
    local message = ffi.string(lib.PQerrorMessage(conn))
    lib.PQfinish(conn)
    return nil, message
  end
  local self = setmetatable({ conn = conn, url = url }, Connection)
  self:exec "SET client_min_messages = warning"
  return self
end

function _M.connect(url)
  local conn, message = _M.try_connect(url)
  if not conn then
    error("postgres: " .. message, 2)
  end
  return conn
end

local function rows_of(result)
  local rows, columns = {}, {}
  for c = 0, lib.PQnfields(result) - 1 do
    columns[c] = ffi.string(lib.PQfname(result, c))
  end
  for r = 0, lib.PQntuples(result) - 1 do
    local row = {}
    for c = 0, #columns do
      if columns[c] and lib.PQgetisnull(result, r, c) == 0 then
        row[columns[c]] = ffi.string(lib.PQgetvalue(result, r, c), lib.PQgetlength(result, r, c))
      end
    end
    rows[r + 1] = row
  end
  return rows
end

local function finish(result, sql)
  local status = lib.PQresultStatus(result)
  if status ~= TUPLES_OK and status ~= COMMAND_OK then
    local message = ffi.string(lib.PQresultErrorMessage(result))
    lib.PQclear(result)
    error(("postgres: %s(in: %s)"):format(message, sql:sub(1, 200)), 3)
  end
  local rows = rows_of(result)
  lib.PQclear(result)
  return rows
end

--- One statement with $1 … parameters (nil is NULL): its rows, values as strings, NULL absent.
function Connection:query(sql, ...)
  local n = select("#", ...)
  local values, keep = ffi.new("const char *[?]", n + 1), {}
  for i = 1, n do
    local value = select(i, ...)
    keep[i] = value ~= nil and tostring(value) or nil
    values[i - 1] = keep[i]
  end
  local result = lib.PQexecParams(self.conn, sql, n, nil, values, nil, nil, 0)
  return finish(result, sql)
end

--- The first column of the first row: a number when it looks like one.
function Connection:value(sql, ...)
  local row = self:query(sql, ...)[1]
  local _, value = next(row or {})
  return tonumber(value) or value
end

--- Several statements without parameters.
function Connection:exec(sql)
  return finish(lib.PQexec(self.conn, sql), sql)
end

function Connection:close()
  if self.conn then
    lib.PQfinish(self.conn)
    self.conn = nil
  end
end

return _M
