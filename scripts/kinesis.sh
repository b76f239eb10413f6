#!/usr/bin/env bash
# Starts and stops two servers that stand in for Amazon Kinesis in tests, on free ports of 127.0.0.1. Words go
# to stderr.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: scripts/kinesis.sh start|stop|serve DIR
       scripts/kinesis.sh install

Runs two servers of its own on free ports of 127.0.0.1, which keep everything in memory, with their logs in
DIR: kinesalite, for load and for splits and merges of shards, and kinesis-local, for enhanced fan-out. They
let anybody in who has any credentials.

  start DIR   make DIR (which must not exist), start both, print their addresses: kinesalite's first
  stop DIR    stop them and remove DIR
  serve DIR   start them, and stop them when standard input ends: servers that die with whoever started them
  install     install them with npm, and what packs aggregates for tests with pip, if they are not there

They are installed once, into target/kinesis of this repository.

Exit codes: 0 done, 2 wrong usage, 3 there are no servers here, 1 anything else.
HELP
}

# shellcheck source=scripts/served.bash
source "$(dirname "${BASH_SOURCE[0]}")/served.bash"

programs=$root/target/kinesis
kinesalite=$programs/node_modules/kinesalite/cli.js
fan_out=$programs/node_modules/kinesis-local/main.js
packer=$programs/packer/bin/python

installed() { [[ -f $kinesalite && -f $fan_out && -f $programs/packed ]]; }

install_server() {
  if installed; then return 0; fi
  mkdir -p "$programs"
  # Tests that start at the same time install them once.
  exec {lock}>"$programs/lock"
  flock "$lock"
  if installed; then return 0; fi
  if ! command -v npm >/dev/null || ! command -v python3 >/dev/null; then
    fail 3 "there are no Kinesis servers here, and without npm and python3 they cannot be installed"
  fi
  echo "kinesis.sh: installing the Kinesis servers for tests, once" >&2
  echo '{ "private": true }' >"$programs/package.json"
  npm install --prefix "$programs" --ignore-scripts --no-audit --no-fund --silent kinesalite@3.3.3 kinesis-local@0.6.2 >&2 \
    || fail 3 "npm could not install the Kinesis servers"
  python3 -m venv "$programs/packer" >&2 && "$packer" -m pip install -q 'aws_kinesis_agg==1.2.3' 'six>=1.16,<2' >&2 \
    || fail 3 "pip could not install what packs aggregates"
  touch "$programs/packed"
}

# Whether the process that was started is there, and still that process.
alive() { [[ -n ${1:-} ]] && grep -q loopback.js "/proc/$1/cmdline" 2>/dev/null; }

# launch NAME PORT COMMAND...: starts a server and waits until it listens.
launch() {
  local name=$1 port=$2 pid
  shift 2
  (cd "$programs/node_modules/kinesis-local" && exec setsid node -r "$root/scripts/kinesis/loopback.js" "$@") \
    </dev/null >>"$dir/$name.log" 2>&1 &
  pid=$!
  disown "$pid"
  echo "$pid" >"$dir/$name.pid"
  await "$pid" "$port" 20 600
}

launch_kinesalite() {
  launch kinesalite "$1" "$kinesalite" --port "$1" --createStreamMs 20 --deleteStreamMs 20 --updateStreamMs 20 \
    --shardLimit 1000
}

launch_fan_out() {
  export KINESIS_MOCK_PLAIN_PORT=$1 SHARD_LIMIT=1000 LOG_LEVEL=ERROR
  export CREATE_STREAM_DURATION=20ms DELETE_STREAM_DURATION=20ms REGISTER_STREAM_CONSUMER_DURATION=20ms
  export DEREGISTER_STREAM_CONSUMER_DURATION=20ms
  export SPLIT_SHARD_DURATION=20ms MERGE_SHARDS_DURATION=20ms
  KINESIS_MOCK_TLS_PORT=$(free_port)
  export KINESIS_MOCK_TLS_PORT
  launch kinesis-local "$1" "$fan_out"
}

start() {
  [[ ! -e $dir ]] || fail 2 "$dir exists"
  install_server
  make_folder
  local first
  on_free_port 5 "$dir/kinesalite.log" kinesalite launch_kinesalite
  first=$port
  on_free_port 5 "$dir/kinesis-local.log" kinesis-local launch_fan_out
  echo "http://127.0.0.1:$first http://127.0.0.1:$port"
}

stop() {
  local file
  for file in "$dir"/*.pid; do
    [[ ! -f $file ]] || end_process "$(cat "$file")"
  done
  # Only what start has made.
  if [[ -f $dir/kinesalite.pid ]]; then rm -rf "$dir"; fi
}

obey "start stop serve" "$@"
