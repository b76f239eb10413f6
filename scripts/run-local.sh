#!/usr/bin/env bash
# Runs one job as several processes on this machine. Data goes to stdout, words to stderr.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: scripts/run-local.sh [-p PROCESSES] [-w WORKERS] CONFIG [FLAGS OF `tidewatch run`...]

Starts PROCESSES processes of WORKERS threads each on free ports of 127.0.0.1 and waits for them.
SIGTERM and Ctrl-C go to all of them: they drain and can be resumed by the same command. With [state]
each supervises a worker process, and when one of those dies all of them go on from the last
checkpoint. If one ends for good with an error, the others are ended. The exit code is the worst of
theirs.

  -p PROCESSES   processes [default: 1]
  -w WORKERS     worker threads per process [default: 1]

Environment:
  TIDEWATCH_BIN  the program to run [default: target/release/tidewatch, built if it is missing]

Example:
  scripts/run-local.sh -p 2 -w 2 configs/podcast.toml
HELP
}

fail() {
  echo "run-local.sh: $1" >&2
  exit 2
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
processes=1
workers=1
while [[ $# -gt 0 ]]; do
  case $1 in
    -h | --help)
      usage
      exit 0
      ;;
    -p | -w)
      [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || fail "$1 needs a number, not '${2:-}'"
      if [[ $1 == -p ]]; then processes=$2; else workers=$2; fi
      shift 2
      ;;
    -*) fail "unknown flag $1 before the config; see --help" ;;
    *) break ;;
  esac
done
[[ $# -gt 0 ]] || fail "which config? see --help"
config=$1
shift

program=${TIDEWATCH_BIN:-$root/target/release/tidewatch}
if [[ ! -x $program ]]; then
  [[ -z ${TIDEWATCH_BIN:-} ]] || fail "TIDEWATCH_BIN=$program is no program"
  (cd "$root" && cargo build --release --locked -p tidewatch >&2)
fi

# A job whose port was taken in between ends with an error, and can be started again.
# shellcheck source=scripts/ports.bash
source "$root/scripts/ports.bash"
# shellcheck source=scripts/children.bash
source "$root/scripts/children.bash"
hosts=$(mktemp)
trap 'rm -f "$hosts"' EXIT
port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
for ((i = 0; i < processes; i++)); do
  while taken "$port"; do port=$((port + 1)); done
  echo "127.0.0.1:$port" >>"$hosts"
  port=$((port + 1))
done

pids=()
draining=0
# Forwarded, not obeyed: the processes decide how to end, and a second Ctrl-C means "at once".
forward() {
  draining=1
  for pid in "${pids[@]}"; do kill "-$1" "$pid" 2>/dev/null || true; done
}
trap 'forward TERM' TERM HUP
# A terminal sends Ctrl-C to all of us; only a signal to this script alone has to be passed on.
trap 'if [[ -t 0 ]]; then draining=1; else forward INT; fi' INT

for ((i = 0; i < processes; i++)); do
  cluster=()
  [[ $processes -eq 1 ]] || cluster=(--hosts "$hosts" --process "$i")
  if [[ $i -eq 0 ]]; then
    "$program" run "$config" -w "$workers" "${cluster[@]}" "$@" <&0 &
  else
    "$program" run "$config" -w "$workers" "${cluster[@]}" "$@" </dev/null >&2 &
  fi
  pids+=($!)
done
# A signal that came while they were started has not reached all of them.
[[ $draining -eq 0 ]] || forward TERM

worst=0
deadline=
left=("${pids[@]}")
while [[ ${#left[@]} -gt 0 ]]; do
  first_ended "$deadline" "${left[@]}"
  if [[ -z $ended ]]; then
    deadline=
    kill -KILL "${left[@]}" 2>/dev/null || true
    continue
  fi
  remaining=()
  for pid in "${left[@]}"; do [[ $pid -eq $ended ]] || remaining+=("$pid"); done
  left=("${remaining[@]}")
  [[ $code -le $worst ]] || worst=$code
  [[ ${#left[@]} -gt 0 && -z $deadline ]] || continue
  if [[ $code -ne 0 ]]; then
    echo "run-local.sh: a process ended with $code, the others follow" >&2
    # It does not come back, so they must not wait for it; the deadline is for those that cannot drain.
    forward TERM
    deadline=$((SECONDS + 8))
  else
    # They end together. One whose worker died on the last steps would wait for the others for ever.
    deadline=$((SECONDS + 60))
  fi
done
exit "$worst"
