#!/usr/bin/env bash
# Makes the expected answers of the corpus of expressions with a prebuilt DuckDB, in an environment of its own.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/expressions.sh [--check]

Asks DuckDB 2.0.1 for the answers to every expression of tests/expressions/cases.py and nested.py, and writes them
to tests/expressions/*.txt. Needs python3 with venv, and the package `duckdb`. Nothing else of the repository changes.

  --check   writes nothing; fails if the answers in the repository are others, and shows which
TEXT
}

check=false
case "${1:-}" in
  -h | --help) usage; exit 0 ;;
  --check) check=true ;;
  "") ;;
  *) usage >&2; exit 2 ;;
esac

cd "$(dirname "$0")/.."
environment="${TMPDIR:-/tmp}/tidewatch-duckdb-2.0.1"
if [ ! -x "$environment/bin/python" ]; then
  python3 -m venv "$environment"
fi
"$environment/bin/python" -c 'import duckdb; assert duckdb.__version__ == "2.0.1"' 2>/dev/null ||
  "$environment/bin/pip" install --quiet 'duckdb==2.0.1'
folder=tests/expressions
if "$check"; then
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
fi
PYTHONDONTWRITEBYTECODE=1 "$environment/bin/python" tests/expressions/write.py "$folder"
if "$check"; then
  diff -r --exclude='*.py' --exclude=__pycache__ tests/expressions "$folder"
fi
