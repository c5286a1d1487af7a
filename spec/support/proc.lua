-- Processes, time and scratch folders, through the C library. Each child leads its own process
-- group and is killed by the kernel when the spec's process dies, however it dies.
local ffi = require "ffi"
local lfs = require "lfs"
local once = require "spec.support.once"
local C = ffi.C

local _M = {}

once("cdef.proc", function()
  ffi.cdef [[
    typedef int pid_t;
    struct rbf_timespec { long sec, nsec; };
    int clock_gettime(int clock, struct rbf_timespec *t);
    int nanosleep(const struct rbf_timespec *t, struct rbf_timespec *rest);
    int kill(pid_t pid, int signal);
    pid_t waitpid(pid_t pid, int *status, int options);
    pid_t getpid(void);
    int getuid(void);
    int pipe2(int fds[2], int flags);
    int close(int fd);
    long write(int fd, const void *data, size_t n);
    char *mkdtemp(char *template);
    int chmod(const char *path, unsigned mode);
    extern char **environ;
    typedef struct { char opaque[512]; } posix_spawnattr_t;
    typedef struct { char opaque[512]; } posix_spawn_file_actions_t;
    int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *fa,
                     const posix_spawnattr_t *attr, char *const argv[], char *const envp[]);
    int posix_spawnattr_init(posix_spawnattr_t *a);
    int posix_spawnattr_destroy(posix_spawnattr_t *a);
    int posix_spawnattr_setflags(posix_spawnattr_t *a, short flags);
    int posix_spawnattr_setpgroup(posix_spawnattr_t *a, pid_t pgroup);
    int posix_spawn_file_actions_init(posix_spawn_file_actions_t *fa);
    int posix_spawn_file_actions_destroy(posix_spawn_file_actions_t *fa);
    int posix_spawn_file_actions_addopen(posix_spawn_file_actions_t *fa, int fd, const char *path,
                                         int flags, unsigned mode);
    int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *fa, int fd, int to);
    int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *fa, const char *path);
    char *strerror(int code);
  ]]
  return true
end)

local SIGNALS = { HUP = 1, INT = 2, QUIT = 3, KILL = 9, USR1 = 10, TERM = 15, CONT = 18, STOP = 19 }
local WNOHANG, CLOCK_REALTIME, CLOCK_MONOTONIC = 1, 0, 1
local O_RDONLY, O_WRONLY_CREATE_APPEND, O_CLOEXEC = 0, 0x441, 0x80000
local POSIX_SPAWN_SETPGROUP = 2

local function clock(which)
  local t = ffi.new("struct rbf_timespec")
  C.clock_gettime(which, t)
  return tonumber(t.sec) * 1000 + tonumber(t.nsec) / 1e6
end

--- Milliseconds of a clock that only moves forward.
function _M.now_ms()
  return clock(CLOCK_MONOTONIC)
end

--- Milliseconds since 1970.
function _M.epoch_ms()
  return clock(CLOCK_REALTIME)
end

function _M.sleep_ms(ms)
  local t = ffi.new("struct rbf_timespec", math.floor(ms / 1000), (ms % 1000) * 1e6)
  C.nanosleep(t, nil)
end

--- What is awaited comes when it comes: beside twenty other programs, or under sanitizers, what takes
--- milliseconds takes seconds. No spec fails for less.
_M.PATIENCE_MS = 30000

--- Calls fn until it returns something true, and returns that; an error naming `what` after
--- timeout_ms, or PATIENCE_MS where that is longer. The one way to wait in these specs.
function _M.eventually(fn, timeout_ms, what)
  timeout_ms = math.max(timeout_ms or 0, _M.PATIENCE_MS)
  local deadline = _M.now_ms() + timeout_ms
  local pause = 1
  while true do
    local value, detail = fn()
    if value then
      return value, detail
    end
    if _M.now_ms() > deadline then
      local text = type(what) == "function" and what() or what or "the condition"
      error(("waited %d ms for %s%s"):format(timeout_ms, text,
        detail and (": " .. tostring(detail)) or ""), 2)
    end
    _M.sleep_ms(pause)
    pause = math.min(pause * 1.5, 25)
  end
end

-- ---------------------------------------------------------------- files

function _M.read_file(path)
  local f = io.open(path, "rb")
  if not f then
    return nil
  end
  local text = f:read("*a")
  f:close()
  return text
end

--- Writes beside and renames, as editors do: no reader ever sees half a file.
function _M.write_file(path, text)
  local temp = path .. ".tmp~"
  local f = assert(io.open(temp, "wb"))
  f:write(text)
  f:close()
  assert(os.rename(temp, path))
end

function _M.copy_tree(from, to)
  lfs.mkdir(to)
  for name in lfs.dir(from) do
    local source, target = from .. "/" .. name, to .. "/" .. name
    if name ~= "." and name ~= ".." then
      if lfs.attributes(source, "mode") == "directory" then
        _M.copy_tree(source, target)
      else
        _M.write_file(target, _M.read_file(source))
      end
    end
  end
end

-- ---------------------------------------------------------------- processes

local function c_strings(list)
  local array = ffi.new("char *[?]", #list + 1)
  local keep = {}
  for i, text in ipairs(list) do
    local copy = ffi.new("char[?]", #text + 1)
    ffi.copy(copy, text)
    keep[i] = copy
    array[i - 1] = copy
  end
  return array, keep
end

-- changes: name → value, or false to take the variable out.
local function environment(changes)
  local list, i = {}, 0
  while C.environ[i] ~= nil do
    local entry = ffi.string(C.environ[i])
    if changes[entry:match("^[^=]*")] == nil then
      list[#list + 1] = entry
    end
    i = i + 1
  end
  for name, value in pairs(changes) do
    if value then
      list[#list + 1] = name .. "=" .. value
    end
  end
  return list
end

local Process = {}
Process.__index = Process

local function command_line(options)
  local argv = { "setpriv", "--pdeathsig", options.death_signal or "KILL" }
  if options.user then
    for _, word in ipairs { "--reuid", options.user, "--regid", options.user, "--clear-groups" } do
      argv[#argv + 1] = word
    end
  end
  argv[#argv + 1] = "--"
  for _, word in ipairs(options) do
    argv[#argv + 1] = tostring(word)
  end
  return argv
end

--- Starts {"program", "arg", …, env = {}, cwd =, out = file for stdout, err = file for stderr
--- (appended to; both default to /dev/null), user =, stdin = fd, death_signal =}.
function _M.spawn(options)
  local fa = ffi.new("posix_spawn_file_actions_t")
  local attr = ffi.new("posix_spawnattr_t")
  C.posix_spawn_file_actions_init(fa)
  C.posix_spawnattr_init(attr)
  C.posix_spawnattr_setflags(attr, POSIX_SPAWN_SETPGROUP)
  C.posix_spawnattr_setpgroup(attr, 0)
  if options.stdin then
    C.posix_spawn_file_actions_adddup2(fa, options.stdin, 0)
  else
    C.posix_spawn_file_actions_addopen(fa, 0, "/dev/null", O_RDONLY, 0)
  end
  local out, err = options.out or "/dev/null", options.err or "/dev/null"
  C.posix_spawn_file_actions_addopen(fa, 1, out, O_WRONLY_CREATE_APPEND, 420)
  if err == out then
    C.posix_spawn_file_actions_adddup2(fa, 1, 2)
  else
    C.posix_spawn_file_actions_addopen(fa, 2, err, O_WRONLY_CREATE_APPEND, 420)
  end
  if options.cwd then
    C.posix_spawn_file_actions_addchdir_np(fa, options.cwd)
  end
  local argv, keep_argv = c_strings(command_line(options))
  local envp, keep_envp = c_strings(environment(options.env or {}))
  local pid = ffi.new("pid_t[1]")
  local rc = C.posix_spawnp(pid, "setpriv", fa, attr, argv, envp)
  C.posix_spawn_file_actions_destroy(fa)
  C.posix_spawnattr_destroy(attr)
  assert(#keep_argv > 0 and #keep_envp >= 0)
  if rc ~= 0 then
    error("cannot start " .. options[1] .. ": " .. ffi.string(C.strerror(rc)), 2)
  end
  return setmetatable({ pid = pid[0], name = options[1] }, Process)
end

-- Reaps without waiting; true when the process is gone.
local function reap(process)
  if process.code or process.signal then
    return true
  end
  local status = ffi.new("int[1]")
  if C.waitpid(process.pid, status, WNOHANG) ~= process.pid then
    return false
  end
  local low = status[0] % 128
  if low == 0 then
    process.code = math.floor(status[0] / 256) % 256
  else
    process.signal = low
  end
  return true
end

function Process:alive()
  return not reap(self)
end

function Process:kill(signal)
  if self:alive() then
    C.kill(self.pid, SIGNALS[signal] or signal or SIGNALS.TERM)
  end
end

--- The exit code (nil, signal number when it was killed); an error after timeout_ms, see eventually.
function Process:wait(timeout_ms)
  _M.eventually(function()
    return reap(self)
  end, timeout_ms, self.name .. " (pid " .. self.pid .. ") to exit")
  return self.code, self.signal
end

--- TERM, then KILL when that did not help in time. Never raises.
function Process:finish(signal, timeout_ms)
  self:kill(signal or "TERM")
  local deadline = _M.now_ms() + (timeout_ms or 5000)
  while not reap(self) and _M.now_ms() < deadline do _M.sleep_ms(5) end
  if not reap(self) then
    self:kill("KILL")
    pcall(self.wait, self)
  end
  return self.code, self.signal
end

function _M.kill(pid, signal)
  return C.kill(pid, SIGNALS[signal] or signal) == 0
end

--- State letter of a process in /proc ("R", "S", "T", "Z" …), its parent's pid; nil when gone.
function _M.stat(pid)
  local f = io.open("/proc/" .. pid .. "/stat")
  local text = f and f:read("*a")
  if f then
    f:close()
  end
  if not text then
    return nil
  end
  local state, parent = text:match(".*%) (%a) (%d+)")
  return state, tonumber(parent)
end

--- Pids of the living children of a process.
function _M.children(pid)
  local list = {}
  for name in lfs.dir("/proc") do
    if name:match("^%d+$") then
      local state, parent = _M.stat(name)
      if parent == pid and state ~= "Z" then
        list[#list + 1] = tonumber(name)
      end
    end
  end
  return list
end

--- Runs a command to its end: exit code, stdout, stderr.
function _M.run(options)
  local dir = _M.scratch()
  local n = once("run.count", function()
    return { 0 }
  end)
  n[1] = n[1] + 1
  local base = dir .. "/run" .. n[1]
  options.out, options.err = base .. ".out", base .. ".err"
  local process = _M.spawn(options)
  local ok = pcall(process.wait, process, options.timeout or 20000)
  if not ok then
    process:finish("KILL")
    error(("%s did not end within %d ms; it said: %s"):format(table.concat(options, " "),
      options.timeout or 20000, _M.read_file(options.err) or ""), 2)
  end
  return process.code or 128 + process.signal, _M.read_file(options.out) or "",
    _M.read_file(options.err) or ""
end

--- The run's scratch folder. A shell that waits for the end of our pipe removes it, after the
--- servers in it (their pids are in DIR/pids) are gone.
function _M.scratch()
  return once("scratch", function()
    local template = ffi.new("char[64]", "/tmp/rbf-spec-XXXXXX")
    assert(C.mkdtemp(template) ~= nil, "mkdtemp failed")
    local dir = ffi.string(template)
    C.chmod(dir, 493)
    local fds = ffi.new("int[2]")
    assert(C.pipe2(fds, O_CLOEXEC) == 0)
    _M.spawn { "sh", "-c", [[
      cat >/dev/null
      for pid in $(cat "$0/pids" 2>/dev/null); do
        n=0
        while kill -0 "$pid" 2>/dev/null && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done
      done
      [ -n "$RBF_SPEC_KEEP" ] || rm -rf "$0"
    ]], dir, stdin = fds[0], death_signal = "clear" }
    C.close(fds[0])
    return dir
  end)
end

--- A new folder below the scratch folder.
function _M.temp_dir(name)
  local n = once("temp.count", function()
    return { 0 }
  end)
  n[1] = n[1] + 1
  local dir = ("%s/%s%d"):format(_M.scratch(), name or "d", n[1])
  assert(lfs.mkdir(dir))
  return dir
end

function _M.is_root()
  return C.getuid() == 0
end

return _M
