#!/usr/bin/env bash
# Train in several processes: tools/dist_train.sh CONFIG GPUS [options of tools/train.py]
#
# One process per GPU; on a machine without any, that many processes on the CPU.
# On several machines, start it on each, with NNODES, NODE_RANK and MASTER_ADDR set; PORT is the
# port by which they find each other, PYTHON the interpreter. Machines without a GPU need
# GLOO_SOCKET_IFNAME, too: the network interface that leads to the others.
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG GPUS [options of tools/train.py]" >&2
    exit 2
fi
config=$1
gpus=$2
shift 2

exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node-rank="${NODE_RANK:-0}" \
    --master-addr="${MASTER_ADDR:-127.0.0.1}" \
    --master-port="${PORT:-29500}" \
    --nproc-per-node="$gpus" \
    "$(dirname "$0")/train.py" "$config" --launcher pytorch "$@"
