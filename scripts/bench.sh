#!/usr/bin/env bash
# Prints the figures of this version on this machine. A benchmark, not a test: nothing is timed out.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: scripts/bench.sh [--quick] [--json FILE] [--cold] [--only NAME,...] [--repeat N]

Builds tidewatch and the hand-written limits, generates events under target/bench/, runs both in
turns, checks that their outputs are equal, and prints each figure beside what it should reach.
Connectors are measured beside a bare client that reads or writes the same: the limit of their server.
The whole takes some 40 minutes and 8 GB of disk; do not use the machine meanwhile.

  --quick        a tenth of the events, fewer repeats: to try the script, not to compare versions
  --json FILE    the figures as JSON as well
  --cold         also time a release build from nothing (5 to 10 minutes more)
  --only NAME,.. only these: reference, session, count, features, scale, keys, windows,
                 sparse, latency, checkpoint, recovery, start
                 sources: files, objects (of S3), http, kafka, kinesis, archive
                 sinks: kafka, kinesis, archive, outputs (a file, standard output), tables
                 (SQLite, PostgreSQL), webhook
                 objects, kafka, kinesis and tables start servers of their own, which must be there:
                 scripts/s3.sh, kafka.sh, kinesis.sh and postgres.sh install them; objects are
                 read barely by curl
  --repeat N     runs of each command, of which the median counts [default: 5, quick: 3]

Environment:
  TIDEWATCH_BIN  measure this program instead of building one
HELP
}

case " $* " in
  *" -h "* | *" --help "*)
    usage
    exit 0
    ;;
esac

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
caller=$PWD
cd "$root"
cargo build --release --locked -p testkit --features bench >&2
[[ -n ${TIDEWATCH_BIN:-} ]] || cargo build --release --locked -p tidewatch --features full >&2
exec target/release/figures --relative-to "$caller" "$@"
