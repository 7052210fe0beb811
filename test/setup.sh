#!/usr/bin/env bash
# Installs the Debian or Ubuntu packages whose programs the tests drive, or those that are named, each with a program of
# its name. It starts nothing: tests start what they need on free ports and end it. Without the right to install, it says what is missing; those tests are then skipped by name.
set -euo pipefail
packages=(postfix swaks redis-server openssl strace chromium fonts-wqy-microhei npm clamav-daemon slapd haproxy testssl.sh bind9 rspamd spamd opendkim clamav-milter postgresql yara)
programs=(postfix swaks redis-server openssl strace chromium fonts-wqy-microhei npm clamd slapd haproxy testssl named rspamd spamd opendkim clamav-milter initdb yara)
if [ $# -gt 0 ]; then
  packages=("$@")
  programs=("$@")
fi

# axe-core comes from npm, in the version and with the checksum of test/browser/package-lock.json.
axe() {
  if [ -f test/browser/node_modules/axe-core/axe.min.js ]; then return; fi
  if ! command -v npm >/dev/null; then echo "setup: no npm, so no axe-core; its test will be skipped by name"; return; fi
  npm ci --prefix test/browser --ignore-scripts --no-audit --no-fund --silent ||
    echo "setup: npm could not fetch axe-core; its test will be skipped by name"
}
cd "$(dirname "$0")/.."

# Mail servers that exclude each other as packages are only unpacked, beside the tests: they never become this machine's.
unpacked=${XDG_CACHE_HOME:-$HOME/.cache}/gatepost-test/root
if ! [ -x "$unpacked/usr/sbin/exim4" ] && command -v apt-get >/dev/null; then
  work=$(mktemp -d)
  if (cd "$work" && { apt-get download -qq exim4-daemon-light opensmtpd libidn12 2>/dev/null ||
      { apt-get update -qq && apt-get download -qq exim4-daemon-light opensmtpd libidn12; }; } >/dev/null 2>&1); then
    mkdir -p "$unpacked"
    for deb in "$work"/*.deb; do dpkg -x "$deb" "$unpacked"; done
    echo "setup: unpacked Exim and OpenSMTPD below $unpacked"
  else
    echo "setup: cannot fetch Exim and OpenSMTPD here; the tests that drive them will be skipped by name"
  fi
  rm -rf "$work"
fi

missing=()
for i in "${!programs[@]}"; do
  if [[ ${programs[$i]} == fonts-* ]]; then
    dpkg -s "${programs[$i]}" >/dev/null 2>&1 || missing+=("${packages[$i]}")
  elif [[ ${programs[$i]} == initdb ]]; then # each version of PostgreSQL has its programs in a directory of its own
    compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null || missing+=("${packages[$i]}")
  else
    PATH="$PATH:/usr/sbin:/sbin" command -v "${programs[$i]}" >/dev/null || missing+=("${packages[$i]}")
  fi
done
if [ ${#missing[@]} -eq 0 ]; then
  axe
  echo "setup: all test programs are here (${programs[*]})"
  exit 0
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then as_root=(sudo -n); fi
if ! command -v apt-get >/dev/null || ! "${as_root[@]}" true 2>/dev/null; then
  echo "setup: cannot install ${missing[*]} here (needs apt-get and root); the tests that drive them will be skipped by name"
  axe
  exit 0
fi
echo "setup: installing ${missing[*]}"
# Packages must not start daemons of their own on this machine.
guard=/usr/sbin/policy-rc.d
made_guard=false
if [ ! -e "$guard" ]; then
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$guard" >/dev/null
  "${as_root[@]}" chmod +x "$guard"
  made_guard=true
fi
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
if $made_guard; then "${as_root[@]}" rm -f "$guard"; fi
echo "setup: installed ${missing[*]}"
axe
