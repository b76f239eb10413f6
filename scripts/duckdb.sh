#!/usr/bin/env bash
# Asks DuckDB something for tests: SQL on standard input, rows as lines of JSON on standard output.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/duckdb.sh [install]

Runs the SQL of standard input with DuckDB 2.0.1, and prints each row as an object of JSON. Needs python3 with venv; the
package `duckdb` is installed into an environment of its own, once.

  install   only that

Exit codes: 0 done, 2 wrong usage, 3 there is no DuckDB here, 1 anything else.
TEXT
}

fail() {
  echo "duckdb.sh: $2" >&2
  exit "$1"
}

case "${1:-}" in
  -h | --help) usage; exit 0 ;;
  "" | install) ;;
  *) fail 2 "unknown verb '$1'; see --help" ;;
esac

environment="${TMPDIR:-/tmp}/tidewatch-duckdb-2.0.1"
python=$environment/bin/python
is_there() { [[ -x $python ]] && "$python" -c 'import duckdb; assert duckdb.__version__ == "2.0.1"' 2>/dev/null; }

if ! is_there; then
  command -v python3 >/dev/null || fail 3 "there is no python3"
  # shellcheck source=scripts/install.bash
  source "$(dirname "${BASH_SOURCE[0]}")/install.bash"
  (
    lock_install
    is_there || { python3 -m venv "$environment" && "$environment/bin/pip" install --quiet 'duckdb==2.0.1'; } >&2
  ) || fail 3 "DuckDB could not be installed"
fi
[[ ${1:-} == install ]] && exit 0
exec "$python" -c '
import duckdb, json, sys
rows = duckdb.sql(sys.stdin.read())
for row in rows.fetchall():
    print(json.dumps(dict(zip(rows.columns, row))))
'
