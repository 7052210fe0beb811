#!/bin/sh
# Before the package goes. What it keeps in /var/lib/gatepost stays: it may hold mail that others believe arrived.
set -e
if [ -d /run/systemd/system ] && [ "$1" != upgrade ]; then
  systemctl disable --now gatepost.service || true
fi
