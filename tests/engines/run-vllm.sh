#!/usr/bin/env bash
# The real vLLM on the CPU with the tiny model, in the foreground.
#
# usage: run-vllm.sh PORT [more arguments of `vllm serve`]
#   INFERSCOPE_ENGINES  the folder that `cargo xtask setup --engines` filled
#   FRONTEND            python (default) or rust: who talks HTTP
#   TLS                 on: serve HTTPS with the test certificate
set -euo pipefail
: "${INFERSCOPE_ENGINES:?the folder that cargo xtask setup --engines filled}"
port=${1:?a port}
shift

# No request leaves this machine.
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1 VLLM_HOST_IP=127.0.0.1
# Small enough for two cores beside the tests.
export VLLM_CPU_KVCACHE_SPACE="${VLLM_CPU_KVCACHE_SPACE:-1}" VLLM_CPU_OMP_THREADS_BIND=nobind OMP_NUM_THREADS=1
# The AMX attention kernel dies of an illegal instruction on some virtual machines; so does bfloat16, which uses it.
export ONEDNN_MAX_CPU_ISA=AVX512_CORE

if [ "${FRONTEND:-python}" = rust ]; then
  export VLLM_USE_RUST_FRONTEND=1 VLLM_RUST_FRONTEND_PATH="$INFERSCOPE_ENGINES/rs/vllm/vllm-rs"
fi
if [ "${TLS:-off}" = on ]; then
  set -- --ssl-keyfile "$INFERSCOPE_ENGINES/tls/key.pem" --ssl-certfile "$INFERSCOPE_ENGINES/tls/cert.pem" "$@"
fi

cd "$INFERSCOPE_ENGINES"
exec venv-vllm/bin/vllm serve "$INFERSCOPE_ENGINES/tiny-llama" --served-model-name tiny-llama \
  --host 127.0.0.1 --port "$port" --dtype float32 --max-model-len 1024 --max-num-seqs 16 --enforce-eager "$@"
