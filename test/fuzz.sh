#!/usr/bin/env bash
# Runs every fuzz target of the tree for FUZZTIME (default 60s), one after the other.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${FUZZTIME:-60s}
grep -rlE '^func Fuzz' --include='*_test.go' cmd gateway filters policy rules test | sort | while read -r file; do
  package=./$(dirname "$file")
  grep -oE '^func Fuzz[A-Za-z0-9_]+' "$file" | awk '{print $2}' | while read -r target; do
    echo "== $package $target for $time"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 10x -parallel "${FUZZPARALLEL:-2}" "$package"
  done
done
