#!/usr/bin/env bash
# Installs onnxruntime's library, which jobs with models of ONNX load, and says where it is.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: scripts/onnxruntime.sh

Prints the path of libonnxruntime, 1.30.0, for `library` of a model or for ORT_DYLIB_PATH. It is unpacked from the npm package
onnxruntime-node into target/onnxruntime of this repository, once; npm is all that it takes.

Exit codes: 0 done, 2 wrong usage, 3 it cannot be had here, 1 anything else.

Example:
  ORT_DYLIB_PATH=$(scripts/onnxruntime.sh) tidewatch run configs/podcast-model.toml
HELP
}

fail() {
  echo "onnxruntime.sh: $2" >&2
  exit "$1"
}

case "${1:-}" in
  -h | --help) usage; exit 0 ;;
  "") ;;
  *) fail 2 "unknown argument '$1'; see --help" ;;
esac

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
version=1.30.0
folder=$root/target/onnxruntime
case "$(uname -s)-$(uname -m)" in
  Linux-x86_64) machine=linux/x64 ;;
  Linux-aarch64) machine=linux/arm64 ;;
  *) fail 3 "the package has no library for $(uname -s) on $(uname -m)" ;;
esac
library=$folder/$version/libonnxruntime.so.1

if [[ ! -f $library ]]; then
  command -v npm >/dev/null || fail 3 "onnxruntime is not here, and without npm it cannot be installed"
  mkdir -p "$folder/$version"
  # Tests that start at the same time install it once.
  exec {lock}>"$folder/lock"
  flock "$lock"
  if [[ ! -f $library ]]; then
    echo "onnxruntime.sh: fetching onnxruntime $version, once" >&2
    draft=$(mktemp -d "$folder/draft-XXXXXX")
    trap 'rm -rf "$draft"' EXIT
    (cd "$draft" && npm pack --silent "onnxruntime-node@$version" >/dev/null && tar xzf onnxruntime-node-*.tgz) >&2 \
      || fail 3 "npm could not fetch onnxruntime-node $version"
    found=$(find "$draft/package/bin" -path "*/$machine/libonnxruntime.so.1" | head -n 1)
    [[ -n $found ]] || fail 3 "the package has no library for $machine"
    mv "$found" "$library"
  fi
fi
echo "$library"
