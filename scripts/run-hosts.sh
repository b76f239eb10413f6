#!/usr/bin/env bash
# Runs one job on several machines, one process per line of a host file, over ssh.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: scripts/run-hosts.sh [--shared-dir] HOSTS CONFIG [FLAGS OF `tidewatch run`...]

HOSTS has one `[user@]host[:port]` per line; empty lines and lines that start with # are skipped.
Every machine needs the program and CONFIG (and what it reads) at the same path. A [state] must be one
that all of them share: `dir = "s3://BUCKET/JOB"`. A directory is refused, unless all hosts are this
machine or --shared-dir says that all of them see the same one.

With [state] each process is supervised on its machine: when one dies, all of them go on from the last
checkpoint. Without it the others end with an error, and the job begins anew.
The processes talk to one another on the ports, so those must be open between the machines and to
nobody else.

SIGTERM and Ctrl-C go to all processes: they drain, and the same command resumes. They also drain
if this script dies or its connections break, and if one ends for good with an error. The exit code
is the worst of theirs. Data (standard output of the first process) goes to stdout, words to stderr.
Standard input is no source here.

  --shared-dir   the state's directory is on a file system that all machines share

Environment:
  TIDEWATCH_SSH  the ssh command with its options, as `ssh -F FILE`
                 [default: ssh -o BatchMode=yes -o ServerAliveInterval=10]
  TIDEWATCH_BIN  the program on every machine [default: tidewatch, from the path there]
  TIDEWATCH_DIR  the folder to work in on every machine [default: this repository's path]
  TIDEWATCH_ENV  a file on every machine, with a NAME=VALUE a line, that the program gets as its
                 environment: the place for what is secret, as AWS_SECRET_ACCESS_KEY

Hosts that are not loopback need [mesh] tls, or mesh.insecure = true, in the config. Without `:port` the
ports are 2101, 2102, ... in the order of the lines.

Example, of a config with [state] dir = "s3://..." and [mesh] tls = {...}:
  TIDEWATCH_BIN=/opt/tidewatch scripts/run-hosts.sh hosts.txt job.toml -w 4
HELP
}

fail() {
  echo "run-hosts.sh: $1" >&2
  exit 2
}

case ${1:-} in
  -h | --help)
    usage
    exit 0
    ;;
esac
require=--require-shared-state
if [[ ${1:-} == --shared-dir ]]; then
  require=
  shift
fi
[[ ${1:-} != -* ]] || fail "unknown flag $1 before the hosts; see --help"
[[ $# -ge 2 ]] || fail "which hosts, which config? see --help"
[[ -r $1 ]] || fail "cannot read the host file $1"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/children.bash
source "$root/scripts/children.bash"
folder=${TIDEWATCH_DIR:-$root}
program=${TIDEWATCH_BIN:-tidewatch}
# A machine that is gone must not be waited for until the network gives up.
read -ra ssh <<<"${TIDEWATCH_SSH:-ssh -o BatchMode=yes -o ServerAliveInterval=10}"

is_here() {
  case $1 in
    localhost | 127.*) return 0 ;;
  esac
  local name
  for name in $(hostname) $(hostname -f 2>/dev/null || true) $(hostname -I 2>/dev/null || true); do
    [[ $1 != "$name" ]] || return 0
  done
  return 1
}

logins=()
addresses=()
elsewhere=0
while read -r line || [[ -n $line ]]; do
  [[ -n $line && $line != \#* ]] || continue
  login=${line%%:*}
  port=$((2101 + ${#logins[@]}))
  [[ $line != *:* ]] || port=${line##*:}
  logins+=("$login")
  addresses+=("${login#*@}:$port")
  is_here "${login#*@}" || elsewhere=1
done <"$1"
[[ ${#logins[@]} -gt 0 ]] || fail "no host in $1"
# All hosts that are this machine see the same directories.
[[ $elsewhere -eq 1 ]] || require=
shift

# What runs on a machine. Signals come as words on its standard input: without a terminal, ssh passes
# none on, and the end of the input says that this script is gone.
# shellcheck disable=SC2016
remote='
  folder=$1 program=$2 process=$3 addresses=$4 environment=$5 require=$6
  shift 6
  cd "$folder" || exit 2
  if [ -n "$environment" ]; then
    set -a
    . "$environment" || exit 2
    set +a
  fi
  hosts=$(mktemp) || exit 2
  printf "%s\n" $addresses >"$hosts"
  cluster=
  [ "$(wc -l <"$hosts")" -eq 1 ] || cluster="--hosts $hosts --process $process"
  exec 3<&0
  "$program" run "$@" $require $cluster </dev/null 3<&- &
  job=$!
  (
    while read -r signal <&3; do kill "-$signal" "$job"; done
    kill -TERM "$job"
  ) >/dev/null 2>&1 &
  listener=$!
  code=0
  wait "$job" || code=$?
  kill "$listener" 2>/dev/null
  rm -f "$hosts"
  exit "$code"
'

pids=()
lines=()
pipes=$(mktemp -d)
trap 'rm -rf "$pipes"' EXIT
# A process that has ended has closed its pipe, which must not end this script.
trap '' PIPE
# shellcheck disable=SC2329
forward() {
  for line in "${lines[@]}"; do { echo "$1" >&"$line"; } 2>/dev/null || true; done
}
trap 'forward TERM' TERM HUP
trap 'forward INT' INT

for i in "${!logins[@]}"; do
  pipe=$pipes/$i
  mkfifo "$pipe"
  # Duplicated, not opened by name: that would empty a file that standard output goes to.
  if [[ $i -eq 0 ]]; then exec {output}>&1; else exec {output}>&2; fi
  # Own process group, so that Ctrl-C reaches it only as a word.
  command=$(printf '%q ' bash -c "$remote" tidewatch "$folder" "$program" "$i" "${addresses[*]}" \
    "${TIDEWATCH_ENV:-}" "$require" "$@")
  setsid "${ssh[@]}" "${logins[$i]}" "$command" <"$pipe" >&"$output" &
  pids+=($!)
  exec {output}>&-
  exec {line}>"$pipe"
  lines+=("$line")
done

worst=0
deadline=
left=("${pids[@]}")
while [[ ${#left[@]} -gt 0 ]]; do
  first_ended "$deadline" "${left[@]}"
  if [[ -z $ended ]]; then
    deadline=
    forward KILL
    continue
  fi
  remaining=()
  for pid in "${left[@]}"; do [[ $pid -eq $ended ]] || remaining+=("$pid"); done
  left=("${remaining[@]}")
  # One that was told to follow before it could listen has not failed.
  [[ $worst -eq 0 || $code -lt 128 ]] || code=0
  [[ $code -le $worst ]] || worst=$code
  if [[ $code -ne 0 && ${#left[@]} -gt 0 && -z $deadline ]]; then
    echo "run-hosts.sh: a process ended with $code, the others follow" >&2
    # It does not come back, so they must not wait for it; the deadline is for those that cannot drain.
    forward TERM
    deadline=$((SECONDS + 15))
  fi
done
exit "$worst"
