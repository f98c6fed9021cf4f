#!/usr/bin/env bash
# The real vLLM without a server: offline.py with the tiny model, in the foreground.
#
# usage: run-offline.sh [arguments of offline.py]
#   INFERSCOPE_ENGINES  the folder that `cargo xtask setup --engines` filled
set -euo pipefail
. "$(dirname "$0")/environment.sh"
exec "$INFERSCOPE_ENGINES/venv-vllm/bin/python" "$(dirname "$0")/offline.py" "$INFERSCOPE_ENGINES/tiny-llama" "$@"
