# shellcheck shell=bash
# What scripts that run a server for tests share: how they fail, how a process is waited for and ended, and their
# verbs. Whoever sources this defines
#
#   usage             prints the help
#   install_server    installs the server, if it is not there
#   start, stop       in the folder `$dir`, and a function for each other verb
#   alive PID         whether that process is there, and still the server

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# shellcheck source=scripts/ports.bash
source "$root/scripts/ports.bash"

# fail CODE WORDS
fail() {
  echo "${0##*/}: $2" >&2
  exit "$1"
}

# Makes the folder of a server that is to start, and has `dir` be its absolute path.
make_folder() {
  [[ ! -e $dir ]] || fail 2 "$dir exists"
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd)
}

# await PID PORT GRACE LIMIT: waits until somebody listens, for so many twentieths of a second at most, and for no more
# than GRACE of them once the process has gone, or has not become the server yet.
await() {
  local pid=$1 port=$2 grace=$3 limit=$4 tries=0
  until taken "$port"; do
    alive "$pid" || [[ $tries -lt $grace ]] || return 1
    tries=$((tries + 1))
    [[ $tries -lt $limit ]] || return 1
    sleep 0.05
  done
  alive "$pid"
}

# end_process PID: kills it with -9, if it is the server, and waits until it has gone.
end_process() {
  alive "$1" || return 0
  kill -KILL "$1" 2>/dev/null || true
  while alive "$1"; do sleep 0.02; done
}

# on_free_port TRIES LOG WHAT COMMAND...: runs a command with a free port until it goes well, and leaves it in `port`.
on_free_port() {
  local most=$1 log=$2 what=$3 tries=0
  shift 3
  while :; do
    port=$(free_port)
    "$@" "$port" && return 0
    tries=$((tries + 1))
    [[ $tries -lt $most ]] || { cat "$log" >&2 || true; fail 1 "$what did not start"; }
  done
}

# Until standard input ends.
serve() {
  # Ctrl-C in the terminal is for whoever started us; standard input ends then.
  trap '' INT TERM
  start
  cat >/dev/null || true
  stop
}

# obey VERBS ARGUMENT...: does what the command line asks for; VERBS are those that want a folder, divided by blanks.
obey() {
  local verbs=$1 known=
  shift
  [[ $# -gt 0 ]] || { usage >&2; exit 2; }
  verb=$1
  dir=${2:-}
  case $verb in
    -h | --help)
      usage
      return
      ;;
    install)
      install_server
      return
      ;;
  esac
  for known in $verbs ''; do
    [[ $known != "$verb" ]] || break
  done
  [[ -n $known ]] || fail 2 "unknown verb '$verb'; see --help"
  [[ -n $dir ]] || fail 2 "which DIR? see --help"
  shift 2
  "$verb" "$@"
}
