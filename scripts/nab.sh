#!/usr/bin/env bash
# Scores the series of the Numenta Anomaly Benchmark with tidewatch's own source and detectors.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: scripts/nab.sh [--score] DATA_DIR OUT_DIR

Runs configs/nab.toml over each DATA_DIR/data/CATEGORY/FILE.csv (timestamp, value) and writes
OUT_DIR/DETECTOR/CATEGORY/FILE.csv for each of its detectors, a line for each row:
timestamp, value, anomaly_score. The score of a row depends on that row and those before it.

  --score   then prints the figures of every detector, with scripts/nab_score.py: needs Python 3
            with numpy, and DATA_DIR/labels/combined_windows.json

tests/nab has three series with their labels. The benchmark: github.com/numenta/NAB.

Environment:
  TIDEWATCH_BIN  takes this program instead of building one
HELP
}

score=false
case ${1:-} in
  -h | --help)
    usage
    exit 0
    ;;
  --score)
    score=true
    shift
    ;;
esac
[[ $# -eq 2 ]] || { usage >&2; exit 2; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
data=$1
out=$2
[[ -d $data/data ]] || { echo "$data/data is no directory: it should hold CATEGORY/FILE.csv" >&2; exit 2; }
program=${TIDEWATCH_BIN:-}
if [[ -z $program ]]; then
  (cd "$root" && cargo build --release --locked >&2)
  program=$root/target/release/tidewatch
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The columns of the sink, in their order, and so the names of the detectors.
mapfile -t detectors < <(sed -n 's/^ *".* AS \([a-z0-9_]*\)",$/\1/p' "$root/configs/nab.toml")

series=0
for file in "$data"/data/*/*.csv; do
  name=${file#"$data"/data/}
  rm -f "$work"/*
  "$program" run --quiet "$root/configs/nab.toml" --set source.events.path="$file" \
    --set sink.scores.path="$work/scores.ndjson" --report "$work/report.json"
  # Beside the lines of the file: a value of each detector, 0 where it knows nothing yet.
  # (awk ends the last line, which may have no end.)
  tr -d '\r' <"$file" | awk 'NR > 1 && NF' >"$work/rows.csv"
  sed -E -e 's/"[a-z0-9_]+"://g' -e 's/[{}"]//g' -e 's/null/0/g' "$work/scores.ndjson" >"$work/scores.csv"
  if [[ $(wc -l <"$work/rows.csv") -ne $(wc -l <"$work/scores.csv") ]]; then
    echo "$file: $(wc -l <"$work/rows.csv") rows, $(wc -l <"$work/scores.csv") scores" >&2
    exit 1
  fi
  column=1
  for detector in "${detectors[@]}"; do
    target=$out/$detector/$name
    mkdir -p "$(dirname "$target")"
    {
      echo timestamp,value,anomaly_score
      paste -d, "$work/rows.csv" <(cut -d, -f"$column" "$work/scores.csv")
    } >"$target"
    column=$((column + 1))
  done
  series=$((series + 1))
done
echo "$series series, ${#detectors[@]} detectors: $out" >&2

if [[ $score == true ]]; then
  for detector in "${detectors[@]}"; do
    echo "== $detector"
    python3 "$root/scripts/nab_score.py" "$out/$detector" --data "$data"
  done
fi
