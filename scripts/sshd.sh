#!/usr/bin/env bash
# Starts and stops an SSH server for tests, on a free port of 127.0.0.1. Words go to stderr.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: scripts/sshd.sh serve DIR
       scripts/sshd.sh install

Runs a server of its own as the user who calls it, with keys made for it, and with everything that it
needs in DIR. Nobody can log in but with the key in DIR, as that user, from this machine.

  serve DIR   make DIR (which must not exist), start the server, print the file for `ssh -F FILE`, and
              stop it and remove DIR when standard input ends: a server that dies with whoever started it
  install     install the server with apt-get, if it is not there (as root)

Exit codes: 0 done, 2 wrong usage, 3 there is no SSH server here, 1 anything else.
HELP
}

fail() {
  echo "sshd.sh: $2" >&2
  exit "$1"
}

find_server() { PATH=$PATH:/usr/sbin:/usr/local/sbin:/sbin command -v sshd || true; }

# shellcheck source=scripts/install.bash
source "$(dirname "${BASH_SOURCE[0]}")/install.bash"

# In a shell of its own, which has the lock no longer than it takes.
install_server() (
  [[ -z $(find_server) ]] || return 0
  lock_install
  [[ -z $(find_server) ]] || return 0
  if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
    fail 3 "there is no SSH server, and only root can install one, with apt-get"
  fi
  # Debian would start a server for everybody on the usual port.
  local policy=/usr/sbin/policy-rc.d made=
  if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    made=1
  fi
  local code=0
  {
    apt-get update -q \
      && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends openssh-server openssh-client
  } >&2 || code=3
  [[ -z $made ]] || rm -f "$policy"
  [[ $code -eq 0 ]] || fail 3 "apt-get could not install the SSH server"
)

# shellcheck source=scripts/ports.bash
source "$(dirname "${BASH_SOURCE[0]}")/ports.bash"

configure() {
  ssh-keygen -q -t ed25519 -N '' -f "$dir/host"
  ssh-keygen -q -t ed25519 -N '' -f "$dir/user"
  cp "$dir/user.pub" "$dir/authorized"
  cat >"$dir/sshd_config" <<CONFIG
ListenAddress 127.0.0.1
Port $port
HostKey $dir/host
AuthorizedKeysFile $dir/authorized
AllowUsers $(id -un)
AuthenticationMethods publickey
PermitRootLogin prohibit-password
UsePAM no
StrictModes no
PidFile none
CONFIG
  echo "[127.0.0.1]:$port $(cut -d ' ' -f 1,2 "$dir/host.pub")" >"$dir/known"
  cat >"$dir/ssh_config" <<CONFIG
Host *
  BatchMode yes
  Port $port
  User $(id -un)
  IdentityFile $dir/user
  IdentitiesOnly yes
  UserKnownHostsFile $dir/known
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
CONFIG
}

serve() {
  [[ ! -e $dir ]] || fail 2 "$dir exists"
  install_server
  local server pid tries=0
  server=$(find_server)
  (umask 077 && mkdir -p "$dir")
  dir=$(cd "$dir" && pwd)
  port=$(free_port)
  configure
  # The folder without which it refuses to run as root; Debian makes it when its own service starts.
  [[ $(id -u) != 0 || -d /run/sshd ]] || mkdir -p -m 0755 /run/sshd
  "$server" -D -e -f "$dir/sshd_config" </dev/null >/dev/null 2>"$dir/log" &
  pid=$!
  until taken "$port"; do
    if ! kill -0 "$pid" 2>/dev/null || [[ $tries -gt 200 ]]; then
      cat "$dir/log" >&2
      rm -rf "$dir"
      fail 1 "it did not start"
    fi
    tries=$((tries + 1))
    sleep 0.05
  done
  echo "$dir/ssh_config"
  cat >/dev/null || true
  kill "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  rm -rf "$dir"
}

[[ $# -gt 0 ]] || { usage >&2; exit 2; }
verb=$1
dir=${2:-}
case $verb in
  -h | --help) usage ;;
  install) install_server ;;
  serve)
    [[ -n $dir ]] || fail 2 "which DIR? see --help"
    # Ctrl-C in the terminal is for whoever started us; standard input ends then.
    trap '' INT TERM
    serve
    ;;
  *) fail 2 "unknown verb '$verb'; see --help" ;;
esac
