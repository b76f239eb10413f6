#!/usr/bin/env bash
# Runs every test of the workspace and says what ran.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: scripts/test.sh [FLAGS OF `cargo test`...]

Runs all tests, documentation included; without flags, of the whole workspace. Needs no service.

Environment:
  TIDEWATCH_KILLS  how often tests/resume.rs kills the job [default: 5]
  TIDEWATCH_SEED   seed of the random tests [default: fixed]
HELP
}

case ${1:-} in
  -h | --help)
    usage
    exit 0
    ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")/.."
[[ $# -gt 0 ]] || set -- --workspace
log=$(mktemp)
trap 'rm -f "$log"' EXIT
code=0
cargo test --locked "$@" 2>&1 | tee "$log" || code=$?
awk '/^test result:/ { suites++; passed += $4; failed += $6; ignored += $8 }
  END { printf "%d suites: %d tests passed, %d failed, %d ignored\n", suites, passed, failed, ignored }' "$log"
exit "$code"
