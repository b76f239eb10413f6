#!/usr/bin/env bash
# Starts and stops an S3 server for tests, on a free port of 127.0.0.1. Words go to stderr.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: scripts/s3.sh start|pause|resume|stop|serve DIR
       scripts/s3.sh install

Runs a server of its own on a free port of 127.0.0.1, with everything that it keeps in DIR, and nothing
that outlives a stop. It has one bucket, `tidewatch`, for the access key `tidewatch` with the secret
`only-for-tests`.

  start DIR   make DIR (which must not exist), start a server in it, print its address
  pause DIR   stop the server, or let it stand still: it does not answer any more
  resume DIR  go on with the same objects on the same port
  stop DIR    stop it and remove DIR
  serve DIR   start it, and stop it when standard input ends: a server that dies with whoever started it
  install     build the server, if it is not there: VersityGW with Go, or moto with Python where Go is missing

The server is built once, into target/s3 of this repository.

Exit codes: 0 done, 2 wrong usage, 3 there is no server here, 1 anything else.
HELP
}

# shellcheck source=scripts/served.bash
source "$(dirname "${BASH_SOURCE[0]}")/served.bash"

programs=$root/target/s3
gateway=$programs/versitygw
moto=$programs/moto/bin/moto_server
version=v1.8.0
bucket=tidewatch
export ROOT_ACCESS_KEY=tidewatch ROOT_SECRET_KEY=only-for-tests

install_server() {
  [[ ! -x $gateway && ! -x $moto ]] || return 0
  mkdir -p "$programs"
  # Tests that start at the same time build it once.
  exec {lock}>"$programs/lock"
  flock "$lock"
  [[ ! -x $gateway && ! -x $moto ]] || return 0
  if command -v go >/dev/null; then
    echo "s3.sh: building the S3 server for tests, once" >&2
    GOBIN=$programs GOFLAGS=-buildvcs=false go install "github.com/versity/versitygw/cmd/versitygw@$version" >&2 \
      && return 0
  fi
  if command -v python3 >/dev/null; then
    python3 -m venv "$programs/moto" >&2 && "$programs/moto/bin/pip" install -q 'moto[s3,server]>=5.2,<6' >&2 \
      && return 0
  fi
  fail 3 "there is no S3 server here, and neither Go nor Python could bring one"
}

# Whether the process that was started is there, and still that process.
alive() { [[ -n ${1:-} ]] && grep -qE 'versitygw|moto_server' "/proc/$1/cmdline" 2>/dev/null; }

launch() {
  local port=$1 pid
  if [[ -x $gateway ]]; then
    mkdir -p "$dir/data/$bucket"
    setsid "$gateway" --port "127.0.0.1:$port" --quiet posix "$dir/data" </dev/null >>"$dir/log" 2>&1 &
  else
    setsid "$moto" -H 127.0.0.1 -p "$port" </dev/null >>"$dir/log" 2>&1 &
  fi
  pid=$!
  disown "$pid"
  echo "$pid" >"$dir/pid"
  await "$pid" "$port" 10 300
}

start() {
  [[ ! -e $dir ]] || fail 2 "$dir exists"
  install_server
  make_folder
  on_free_port 5 "$dir/log" "the server" launch
  if [[ ! -x $gateway ]]; then
    # moto does not look at who asks.
    exec 3<>"/dev/tcp/127.0.0.1/$port"
    printf 'PUT /%s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n' "$bucket" "$port" >&3
    grep -q '200 OK' <&3 || fail 1 "the bucket could not be made"
    exec 3>&-
  fi
  echo "$port" >"$dir/port"
  echo "http://127.0.0.1:$port"
}

pid() { cat "$dir/pid" 2>/dev/null || true; }

stop() {
  end_process "$(pid)"
  # Only what start has made.
  if [[ -f $dir/pid ]]; then rm -rf "$dir"; fi
}

pause() {
  # moto keeps objects in memory.
  if [[ -x $gateway ]]; then end_process "$(pid)"; else kill -STOP "$(pid)"; fi
}

resume() {
  if [[ -x $gateway ]]; then
    launch "$(cat "$dir/port")" || fail 1 "the server did not start again"
  else
    kill -CONT "$(pid)"
  fi
}

obey "start pause resume stop serve" "$@"
