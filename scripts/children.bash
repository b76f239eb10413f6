# shellcheck shell=bash
# Waiting for the first of several child processes; the other scripts read this. `wait -n` of bash 5.2 forgets
# a child that ends while another one's end is reported, and would then wait for ever.

# A pipe that nobody writes to: to read from it is to sleep without a process, and traps run at once.
exec {silence}<> <(:)

# first_ended DEADLINE PID...: `ended` is the process that has ended and `code` its exit code; `ended` is empty
# if DEADLINE, in seconds of $SECONDS, passes before. An empty one never does.
first_ended() {
  local deadline=$1 pid
  shift
  ended=
  code=0
  while :; do
    for pid in "$@"; do
      kill -0 "$pid" 2>/dev/null && continue
      ended=$pid
      wait "$pid" || code=$?
      return 0
    done
    [[ -z $deadline || SECONDS -lt deadline ]] || return 0
    read -rt 0.05 -u "$silence" || true
  done
}
