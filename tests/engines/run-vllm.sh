#!/usr/bin/env bash
# The real vLLM on the CPU with the tiny model, in the foreground.
#
# usage: run-vllm.sh PORT [more arguments of `vllm serve`, which win over those below]
#   INFERSCOPE_ENGINES  the folder that `cargo xtask setup --engines` filled
#   FRONTEND            python (default) or rust: who talks HTTP
#   TLS                 on: serve HTTPS with the test certificate
set -euo pipefail
. "$(dirname "$0")/environment.sh"
port=${1:?a port}
shift

if [ "${FRONTEND:-python}" = rust ]; then
  export VLLM_USE_RUST_FRONTEND=1 VLLM_RUST_FRONTEND_PATH="$INFERSCOPE_ENGINES/rs/vllm/vllm-rs"
fi
if [ "${TLS:-off}" = on ]; then
  set -- --ssl-keyfile "$INFERSCOPE_ENGINES/tls/key.pem" --ssl-certfile "$INFERSCOPE_ENGINES/tls/cert.pem" "$@"
fi

cd "$INFERSCOPE_ENGINES"
exec venv-vllm/bin/vllm serve "$INFERSCOPE_ENGINES/tiny-llama" --served-model-name tiny-llama \
  --host 127.0.0.1 --port "$port" --dtype float32 --max-model-len 1024 --max-num-seqs 16 --enforce-eager "$@"
