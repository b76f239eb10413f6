# shellcheck shell=bash
# What installs something reads this: several tests may ask at the same time, and apt-get has room for one.

# Waits until nobody else installs, and has the lock until this shell or subshell ends.
lock_install() {
  exec 9>"${TMPDIR:-/tmp}/tidewatch-install-$(id -u).lock"
  flock 9
}
