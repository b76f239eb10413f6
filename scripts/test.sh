#!/usr/bin/env bash
# Runs every test of the workspace and says what ran.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: scripts/test.sh [FLAGS OF `cargo test`...]
       scripts/test.sh --seeds COUNT    simulates that many seeds instead
       scripts/test.sh --replay SEED    replays one and prints its trace

Runs all tests, documentation included; without flags, of the whole workspace with every connector.
The servers and tools that some need are installed by scripts/ where they are missing (PostgreSQL only
with CI=true), bound to 127.0.0.1 and stopped again. Where that cannot be, the tests fail with CI=true
and are announced as left out else, at the end.

Environment:
  TIDEWATCH_KILLS  how often tests/resume.rs kills the job [default: 20]
  TIDEWATCH_SEED   seed of the random tests [default: fixed]
  TIDEWATCH_SIM_SEEDS  how many seeds tests/simulation.rs runs [default: 300]
  TIDEWATCH_SIM_PLANT  with --replay: a mistake to plant in it, such as FoldEarly
HELP
}

case ${1:-} in
  -h | --help)
    usage
    exit 0
    ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")/.."
every=every_schedule_of_crashes_and_rescales_puts_out_what_the_oracle_does
case ${1:-} in
  --seeds | --replay)
    [[ ${2:-} =~ ^[0-9]+$ ]] || { echo "$1 needs a number" >&2; exit 2; }
    if [[ $1 == --seeds ]]; then export TIDEWATCH_SIM_SEEDS=$2; else export TIDEWATCH_SIM_SEED=$2; fi
    exec cargo test --locked -p tidewatch --test simulation -- --exact "$every" --nocapture
    ;;
esac
[[ $# -gt 0 ]] || set -- --workspace --features tidewatch/full,testkit/bench
log=$(mktemp)
TIDEWATCH_LEFT_OUT=$(mktemp)
export TIDEWATCH_LEFT_OUT
trap 'rm -f "$log" "$TIDEWATCH_LEFT_OUT"' EXIT
code=0
cargo test --locked "$@" 2>&1 | tee "$log" || code=$?
awk '/^test result:/ { suites++; passed += $4; failed += $6; ignored += $8 }
  END { printf "%d suites: %d tests passed, %d failed, %d ignored\n", suites, passed, failed, ignored }' "$log"
# A test that passes is silent, even if it could not do what it is there for.
sort -u "$TIDEWATCH_LEFT_OUT"
exit "$code"
