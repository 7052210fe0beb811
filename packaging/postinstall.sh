#!/bin/sh
# After the package is unpacked: the account, its directories, and a configuration to begin with. Nothing is started.
set -e
if ! getent passwd gatepost >/dev/null; then
  adduser --system --group --home /var/lib/gatepost --no-create-home --quiet gatepost
fi
install -d -o gatepost -g gatepost -m 0700 /var/lib/gatepost
chown root:gatepost /etc/gatepost
if [ ! -e /etc/gatepost/gatepost.yaml ]; then
  gatepost init /etc/gatepost >/dev/null
  # The review pages edit the policy, so it is the gateway's own; its configuration is not.
  mv /etc/gatepost/policy.yaml /var/lib/gatepost/policy.yaml
  chown gatepost:gatepost /var/lib/gatepost/policy.yaml
  sed -i 's|^data_dir: .*|data_dir: /var/lib/gatepost|; s|^policy: .*|policy: /var/lib/gatepost/policy.yaml|; s|address: ":2525"  |address: ":25"    |' /etc/gatepost/gatepost.yaml
  chown root:gatepost /etc/gatepost/gatepost.yaml
  chmod 0640 /etc/gatepost/gatepost.yaml
  echo "gatepost: edit /etc/gatepost/gatepost.yaml, then: systemctl enable --now gatepost"
fi
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  systemctl try-restart gatepost.service || true
fi
