#!/usr/bin/env bash
# The real ComfyUI on the CPU, in the foreground, with the nodes of comfyui_nodes/ and no checkpoint.
#
# usage: run-comfyui.sh PORT FOLDER [more arguments of main.py]
#   FOLDER              what it reads and writes lies there: custom nodes, inputs, outputs, user, temporary files
#   INFERSCOPE_ENGINES  the folder that `cargo xtask setup --engines` filled
#   TLS                 on: serve HTTPS with the test certificate
set -euo pipefail
: "${INFERSCOPE_ENGINES:?the folder that cargo xtask setup --engines filled}"
port=${1:?a port}
folder=${2:?a folder of its own}
nodes=$(cd "$(dirname "$0")/comfyui_nodes" && pwd)
shift 2

if [ "${TLS:-off}" = on ]; then
  set -- --tls-keyfile "$INFERSCOPE_ENGINES/tls/key.pem" --tls-certfile "$INFERSCOPE_ENGINES/tls/cert.pem" "$@"
fi
mkdir -p "$folder"/{custom_nodes/inferscope,input,output,temp,user,models}
folder=$(cd "$folder" && pwd)
cp "$nodes"/*.py "$folder/custom_nodes/inferscope/"

# No request leaves this machine; and one thread, or the sampler's threads fight for two cores (1 step a second, not 100).
export HF_HUB_OFFLINE=1 DO_NOT_TRACK=1 OMP_NUM_THREADS=1
# The usual way to start it, as its own documentation has it: from within its folder.
cd "$INFERSCOPE_ENGINES/comfyui"
exec ../venv-comfy/bin/python main.py --cpu --listen 127.0.0.1 --port "$port" --base-directory "$folder" \
  --database-url "sqlite:///$folder/user/comfyui.db" --disable-auto-launch --disable-api-nodes "$@"
