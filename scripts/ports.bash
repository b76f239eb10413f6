# shellcheck shell=bash
# Ports that nobody listens on; the other scripts read this. Bash can only try to connect, so that a moment
# is left in which another program may take such a port.

taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    taken "$port" || break
  done
  echo "$port"
}
