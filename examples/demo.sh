#!/bin/sh
# The tour of `rbf demo`: the signup app, from start to shutdown, in a scratch copy. Ends with 0 when
# everything it says is what happened.
set -u
unset DATABASE_URL NATS_URL
dir=$(mktemp -d "${TMPDIR:-/tmp}/rbf-demo.XXXXXX") || exit 1
chmod 755 "$dir" # PostgreSQL's user has to pass through
cp -r "$RBF_SHARE/handlers" "$dir/app" && cd "$dir" || exit 1
dev=

finish() {
  code=$?
  trap - EXIT
  [ -z "$dev" ] || { kill "$dev" 2>/dev/null; wait "$dev"; }
  cd / && rm -rf "$dir"
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM

if [ -t 1 ]; then bold=$(printf '\033[1m') dim=$(printf '\033[2m') plain=$(printf '\033[0m'); else bold='' dim='' plain=''; fi
say() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }

# Shows a command as one would type it, runs it, keeps its output in $out.
ask() {
  printf "  %s\$ rbf job:trigger" "$dim"
  for word in "$@"; do
    case $word in *[\"\ ]*) printf " '%s'" "$word" ;; *) printf ' %s' "$word" ;; esac
  done
  printf '%s\n' "$plain"
  out=$("$RBF_BIN" job:trigger "$@" 2>"$dir/err")
  status=$?
  printf '  %s\n' "$out"
}

fail() {
  printf 'rbf demo: %s; the host said:\n' "$1" >&2
  cat "$dir/err" "$dir/dev.log" >&2 2>/dev/null
  exit 1
}

# await FILE TEXT: until the file has a line with it, 60 s at most
await() {
  tries=0
  until grep -q "$2" "$1" 2>/dev/null; do
    kill -0 "$dev" 2>/dev/null || fail "the host ended"
    tries=$((tries + 1))
    [ $tries -lt 600 ] || fail "no '$2' within a minute"
    sleep 0.1
  done
}

# Shows the mails of user $id. One is logged as sent before its COMMIT: asked again until it is there.
ask_mails() {
  tries=0
  until ask "events.email.list.$id" >ask.txt; [ "$out" != '[]' ] || [ $tries -ge 100 ]; do
    tries=$((tries + 1))
    sleep 0.1
  done
  cat ask.txt
}

say '1. rbf dev: a private PostgreSQL and NATS, the tables, the handlers'
"$RBF_BIN" dev app --log-format pretty >dev.log 2>&1 &
dev=$!
await dev.log 'Ctrl-C stops'
grep -E '^  (mutation|query) ' dev.log

say '2. A user signs up, through NATS: one SERIALIZABLE transaction'
ada='{"email":"ada@example.com","name":"Ada"}'
ask jobs.users.create "$ada" --request-id demo-1
[ $status = 0 ] || fail "the sign-up was refused"
id=$(printf '%s' "$out" | sed 's/.*"id":"\([^"]*\)".*/\1/')

say '3. The welcome mail was enqueued in that transaction and ran after it, on another queue'
await dev.log 'welcome mail sent'
ask_mails
[ "$out" = '[{"subject":"Welcome, Ada!"}]' ] || fail "that is not the one mail expected"

say '4. The same request again (same id): answered from the stored result, nothing runs twice'
ask jobs.users.create "$ada" --request-id demo-1
case $out in *"$id"*) ;; *) fail "the duplicate got another answer" ;; esac
ask "events.email.list.$id"
[ "$out" = '[{"subject":"Welcome, Ada!"}]' ] || fail "there should still be one mail"

say '5. Another request with the same address: the handler says no'
ask jobs.users.create "$ada"
[ $status = 4 ] || fail "the second Ada was let in"

say '6. A handler is edited while the host runs; the next request shows it'
printf "  %s\$ sed -i 's/Welcome/Ahoy/' app/app.lua%s\n" "$dim" "$plain"
sed 's/"Welcome"/"Ahoy"/' app/app.lua >app/app.lua.new && mv app/app.lua.new app/app.lua
await dev.log 'reloaded'
ask jobs.users.create '{"email":"grace@example.com","name":"Grace"}'
id=$(printf '%s' "$out" | sed 's/.*"id":"\([^"]*\)".*/\1/')
await dev.log 'grace@example.com'
ask_mails
[ "$out" = '[{"subject":"Ahoy, Grace!"}]' ] || fail "the edit did not show"

say '7. Shutdown: what is in hand is finished, the servers stop'
kill "$dev"
wait "$dev" || fail "the host did not stop cleanly"
dev=
grep -h 'worker stopped' dev.log | sed 's/^/  /' | tail -n 1
say 'Next: ./rbf dev, then edit handlers/users.lua. README.md says how it works.'
