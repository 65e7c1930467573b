#!/bin/bash
# Starts this member of the cluster of three. README.md has the reason for each number.
set -euo pipefail
umask 077

: "${TICKETFLOW_NODE:?the name of this member: etcd1, etcd2 or etcd3}"
CREDENTIALS=/run/credentials

tls() { # the same certificate serves and calls; both sides must show one
    echo "--$1trusted-ca-file=$CREDENTIALS/ca.crt --$1cert-file=$CREDENTIALS/tls.crt --$1key-file=$CREDENTIALS/tls.key --$1client-cert-auth"
}

# shellcheck disable=SC2046 # several words each
exec etcd \
    --name="$TICKETFLOW_NODE" \
    --data-dir=/data/member-data \
    --initial-cluster-token=ticketflow \
    --initial-cluster=etcd1=https://etcd1:2380,etcd2=https://etcd2:2380,etcd3=https://etcd3:2380 \
    --initial-cluster-state=new \
    --initial-advertise-peer-urls="https://$TICKETFLOW_NODE:2380" \
    --advertise-client-urls="https://$TICKETFLOW_NODE:2379" \
    --listen-peer-urls=https://0.0.0.0:2380 \
    --listen-client-urls=https://0.0.0.0:2379 \
    --listen-metrics-urls=http://0.0.0.0:2381 \
    $(tls '') $(tls peer-) \
    --heartbeat-interval=200 \
    --election-timeout=1500 \
    --pre-vote \
    --strict-reconfig-check \
    --quota-backend-bytes=134217728 \
    --auto-compaction-mode=periodic \
    --auto-compaction-retention=1h \
    --snapshot-count=10000 \
    --logger=zap \
    --log-level=warn
