#!/usr/bin/env bash
# Installs a program that tests need, if it is not there. Words go to stderr.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: scripts/packages.sh COMMAND PACKAGE

Installs the Debian package PACKAGE with apt-get (as root) unless COMMAND is there.

Exit codes: 0 it is there, 2 wrong usage, 3 it cannot be installed here.
HELP
}

fail() {
  echo "packages.sh: $2" >&2
  exit "$1"
}

case ${1:-} in
  -h | --help)
    usage
    exit 0
    ;;
esac
[[ $# -eq 2 ]] || fail 2 "which command, of which package? See --help"
PATH=$PATH:/usr/sbin:/sbin
command -v "$1" >/dev/null && exit 0
# shellcheck source=scripts/install.bash
source "$(dirname "${BASH_SOURCE[0]}")/install.bash"
lock_install
command -v "$1" >/dev/null && exit 0
if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
  fail 3 "there is no $1, and only root can install $2, with apt-get"
fi
{ apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$2"; } >&2 \
  || fail 3 "apt-get could not install $2"
