#!/usr/bin/env bash
# Runs every test and ends with what was skipped and why. In CI a skipped test is a failure.
set -uo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin:/sbin"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
go test -count=1 -timeout 20m -json ./... >"$log"
status=$?
go run ./test/report "$log" || status=1
exit $status
