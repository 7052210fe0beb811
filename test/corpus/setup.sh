#!/usr/bin/env bash
# Installs the rivals that make corpus measures, from Debian or Ubuntu packages, where it may; it starts nothing.
set -euo pipefail
missing=()
for program in spamassassin rspamd redis-server; do
  command -v "$program" >/dev/null || missing+=("$program")
done
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then as_root=(sudo -n); fi
if ! command -v apt-get >/dev/null || ! "${as_root[@]}" true 2>/dev/null; then
  echo "corpus: cannot install ${missing[*]} here (needs apt-get and root); they will be left out"
  exit 0
fi
# Packages must not start daemons of their own on this machine.
guard=/usr/sbin/policy-rc.d
made_guard=false
if [ ! -e "$guard" ]; then
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$guard" >/dev/null
  "${as_root[@]}" chmod +x "$guard"
  made_guard=true
fi
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
  echo "corpus: apt-get could not install ${missing[*]}; what is missing will be left out"
if $made_guard; then "${as_root[@]}" rm -f "$guard"; fi
