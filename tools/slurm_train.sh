#!/usr/bin/env bash
# Train on a Slurm cluster: tools/slurm_train.sh PARTITION JOB_NAME CONFIG [options of tools/train.py]
#
# GPUS (4) processes in all, GPUS_PER_NODE (4) on each node and CPUS_PER_TASK (5) for each process
# shape the job. GPUS_PER_NODE=0 asks for no GPU: that many processes on the CPU.
# SRUN_ARGS is handed to srun as it is; PORT is the port by which the processes find each other,
# PYTHON the interpreter.
set -euo pipefail

if [ $# -lt 3 ]; then
    echo "usage: $0 PARTITION JOB_NAME CONFIG [options of tools/train.py]" >&2
    exit 2
fi
partition=$1
job_name=$2
config=$3
shift 3
gpus_per_node=${GPUS_PER_NODE:-4}
cpus_per_task=${CPUS_PER_TASK:-5}

gpus=()
if [ "$gpus_per_node" -gt 0 ]; then
    gpus=(--gres="gpu:$gpus_per_node" --ntasks-per-node="$gpus_per_node")
fi
export MASTER_PORT="${PORT:-${MASTER_PORT:-29500}}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$cpus_per_task}"

# SRUN_ARGS is a list of words, hence not quoted.
# shellcheck disable=SC2086
exec srun -p "$partition" \
    --job-name="$job_name" \
    "${gpus[@]}" \
    --ntasks="${GPUS:-4}" \
    --cpus-per-task="$cpus_per_task" \
    --kill-on-bad-exit=1 \
    ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u "$(dirname "$0")/train.py" "$config" --launcher slurm "$@"
