#!/usr/bin/env bash
# Starts and stops a PostgreSQL server for tests, on a free port of 127.0.0.1. Words go to stderr.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: scripts/postgres.sh start|crash|restart|stop|serve DIR
       scripts/postgres.sh query DIR DATABASE SQL
       scripts/postgres.sh tls DIR CERTIFICATE KEY
       scripts/postgres.sh install

Runs a server of its own on a free port of 127.0.0.1, with everything that it writes in DIR, and nothing
that outlives a stop. What `initdb`, `pg_ctl` belong to is found in PATH or where distributions put it.

  start DIR    make DIR (which must not exist), start a server in it, print its address
  crash DIR    stop the server as a power cut would
  restart DIR  the same, and start it again on the same data and port
  stop DIR     stop it and remove DIR
  serve DIR    start it, and stop it when standard input ends: a server that dies with whoever started it
  query DIR DATABASE SQL
               print the rows, columns divided by `|`
  tls DIR CERTIFICATE KEY
               let it speak TLS with these files from now on
  install      install the server with apt-get, if it is not there (as root)

As root the server runs as the user `postgres`, since it refuses to run as root; DIR must then be in a
folder that this user can enter, such as /tmp.

Exit codes: 0 done, 2 wrong usage, 3 there is no PostgreSQL here, 1 anything else.
HELP
}

# shellcheck source=scripts/served.bash
source "$(dirname "${BASH_SOURCE[0]}")/served.bash"

# The folder of initdb and pg_ctl, the newest version first.
find_programs() {
  local folder
  for folder in $(printf '%s\n' /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/local/pgsql/bin | sort -rV); do
    if [[ -x $folder/initdb && -x $folder/pg_ctl ]]; then
      echo "$folder"
      return
    fi
  done
  if command -v initdb >/dev/null && command -v pg_ctl >/dev/null; then
    dirname "$(command -v initdb)"
  fi
}

need_programs() {
  programs=$(find_programs)
  [[ -n $programs ]] || fail 3 "there is no PostgreSQL here; 'scripts/postgres.sh install' as root installs it"
}

# shellcheck source=scripts/install.bash
source "$(dirname "${BASH_SOURCE[0]}")/install.bash"

# In a shell of its own, which has the lock no longer than it takes.
install_server() (
  [[ -z $(find_programs) ]] || return 0
  lock_install
  [[ -z $(find_programs) ]] || return 0
  if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
    fail 3 "PostgreSQL is not installed, and only root can install it, with apt-get"
  fi
  # Debian would make and start a server on the usual port.
  local conf=/etc/postgresql-common/createcluster.d/tidewatch-tests.conf
  mkdir -p "$(dirname "$conf")"
  echo "create_main_cluster = false" >"$conf"
  {
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends postgresql
  } >&2 || { rm -f "$conf"; fail 3 "apt-get could not install PostgreSQL"; }
  rm -f "$conf"
)

# Whom the server runs as.
as_owner() {
  if [[ $(id -u) == 0 ]]; then runuser -u postgres -- "$@"; else "$@"; fi
}

launch() {
  # Durable as in production: tests are about what survives.
  local options="-c listen_addresses=127.0.0.1 -c port=$1 -c unix_socket_directories='' \
    -c fsync=on -c full_page_writes=on -c max_connections=50 -c shared_buffers=64MB"
  (cd / && as_owner "$programs/pg_ctl" -D "$dir/data" -l "$dir/log" -w -t 60 -o "$options" start) >/dev/null 2>&1
}

start() {
  [[ ! -e $dir ]] || fail 2 "$dir exists"
  need_programs
  make_folder
  if [[ $(id -u) == 0 ]]; then
    chown postgres "$dir"
    as_owner test -w "$dir" || fail 1 "the user postgres cannot enter $dir"
  fi
  (cd / && as_owner "$programs/initdb" -D "$dir/data" -U tidewatch -A trust -E UTF8 --locale=C --no-sync) >/dev/null
  on_free_port 5 "$dir/log" "the server" launch
  echo "$port" >"$dir/port"
  echo "postgres://tidewatch@127.0.0.1:$port/postgres"
}

halt() {
  if [[ -f $dir/data/postmaster.pid ]]; then
    (cd / && as_owner "$programs/pg_ctl" -D "$dir/data" -m immediate -w stop) >/dev/null 2>&1 || true
  fi
}

stop() {
  need_programs
  halt
  # Only what start has made.
  if [[ -d $dir/data ]]; then rm -rf "$dir"; fi
}

query() {
  [[ $# -eq 2 ]] || fail 2 "query needs DIR DATABASE SQL; see --help"
  need_programs
  "$programs/psql" -X -A -t -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$(cat "$dir/port")" -U tidewatch -d "$1" -c "$2"
}

tls() {
  [[ $# -eq 2 ]] || fail 2 "tls needs DIR CERTIFICATE KEY; see --help"
  need_programs
  # Through a pipe: the server's user may not be able to read them where they are.
  as_owner tee "$dir/data/server.crt" <"$1" >/dev/null
  as_owner tee "$dir/data/server.key" <"$2" >/dev/null
  as_owner chmod 600 "$dir/data/server.key"
  echo "ssl = on" | as_owner tee -a "$dir/data/postgresql.auto.conf" >/dev/null
  (cd / && as_owner "$programs/pg_ctl" -D "$dir/data" reload) >/dev/null
}

crash() {
  need_programs
  halt
}

restart() {
  crash
  launch "$(cat "$dir/port")" || fail 1 "the server did not start again"
}

obey "start crash restart stop serve query tls" "$@"
