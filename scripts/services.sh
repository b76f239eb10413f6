#!/usr/bin/env bash
# Starts and stops the servers that a person wants beside a job: a database, a bucket, a broker, a stream.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: scripts/services.sh up|down|status [SERVICE...]

Servers of your own on free ports of 127.0.0.1, installed where they are missing and as root allows it:

  postgres  PostgreSQL                          (scripts/postgres.sh)
  s3        an S3 store with a bucket           (scripts/s3.sh)
  kafka     a Kafka broker                      (scripts/kafka.sh)
  kinesis   kinesalite and kinesis-local        (scripts/kinesis.sh)

  up      start those that do not run, and print what runs
  down    stop them, and remove what they hold
  status  print what runs: the service and its addresses, one a line

Without a SERVICE it is about all of them. Tests start servers of their own; these are for trying things out.

Environment:
  TIDEWATCH_SERVICES  the folder of all that they write [default: tidewatch-services-UID in $TMPDIR or /tmp]

Exit codes: 0 done, 2 wrong usage, 3 some service cannot be had here (the others are up), 1 anything else;
with status: 0 all of them run, 1 some do not.

Example:
  scripts/services.sh up kafka
HELP
}

fail() {
  echo "services.sh: $2" >&2
  exit "$1"
}

case ${1:-} in
  -h | --help)
    usage
    exit 0
    ;;
  up | down | status) verb=$1 ;;
  *) fail 2 "up, down or status? See --help" ;;
esac
shift
scripts=$(dirname "${BASH_SOURCE[0]}")
all=(postgres s3 kafka kinesis)
[[ $# -gt 0 ]] || set -- "${all[@]}"
for service in "$@"; do
  [[ " ${all[*]} " == *" $service "* ]] || fail 2 "there is no service '$service'; see --help"
done
folder=${TIDEWATCH_SERVICES:-${TMPDIR:-/tmp}/tidewatch-services-$(id -u)}

# What a service printed when it was started, if somebody listens at each of its addresses.
runs() {
  local addresses word port
  [[ -r $folder/$1.addresses ]] || return 1
  addresses=$(<"$folder/$1.addresses")
  for word in $addresses; do
    [[ $word =~ :([0-9]+)(/|$) ]] || continue
    port=${BASH_REMATCH[1]}
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || return 1
  done
  echo "$1 $addresses"
}

start() {
  "$scripts/$1.sh" install >&2 || return $?
  # What is left of one that was killed.
  "$scripts/$1.sh" stop "$folder/$1" >/dev/null 2>&1 || true
  rm -rf "${folder:?}/$1"
  "$scripts/$1.sh" start "$folder/$1" >"$folder/$1.addresses.new" || return $?
  mv "$folder/$1.addresses.new" "$folder/$1.addresses"
}

code=0
for service in "$@"; do
  case $verb in
    status) runs "$service" || { echo "$service -"; code=1; } ;;
    down)
      "$scripts/$service.sh" stop "$folder/$service" || code=1
      rm -f "$folder/$service.addresses"
      ;;
    up)
      mkdir -p "$folder"
      chmod 755 "$folder"
      if ! runs "$service"; then
        started=0
        start "$service" || started=$?
        if [[ $started -eq 0 ]]; then
          runs "$service" || { echo "services.sh: $service has started and does not answer" >&2; code=1; }
        else
          echo "services.sh: $service could not be started" >&2
          [[ $started -eq 3 ]] || started=1
          [[ $code -eq 1 ]] || code=$started
        fi
      fi
      ;;
  esac
done
[[ $verb != down ]] || rmdir "$folder" 2>/dev/null || true
exit "$code"
