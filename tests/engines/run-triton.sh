#!/usr/bin/env bash
# The real Triton on the CPU with the models of triton_models.py, in the foreground.
#
# usage: run-triton.sh HTTP_PORT GRPC_PORT METRICS_PORT [more arguments of tritonserver, which win over those below]
#   INFERSCOPE_ENGINES  the folder that `cargo xtask setup --engines` filled
#   TLS                 on: serve gRPC over TLS with the test certificate (Triton's HTTP has none)
set -euo pipefail
: "${INFERSCOPE_ENGINES:?the folder that cargo xtask setup --engines filled}"
http=${1:?an HTTP port}
grpc=${2:?a gRPC port}
metrics=${3:?a port for metrics}
shift 3

if [ "${TLS:-off}" = on ]; then
  set -- --grpc-use-ssl=1 --grpc-server-cert="$INFERSCOPE_ENGINES/tls/cert.pem" \
    --grpc-server-key="$INFERSCOPE_ENGINES/tls/key.pem" "$@"
fi

venv="$INFERSCOPE_ENGINES/venv-triton"
packages=$("$venv/bin/python" -c "import sysconfig; print(sysconfig.get_path('purelib'))")
# The Python backend's stub is linked with libpython, and imports what this environment has.
libpython=$("$venv/bin/python" -c "import sysconfig; print(sysconfig.get_config_var('LIBDIR'))")
export LD_LIBRARY_PATH="$libpython${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" PYTHONPATH="$packages" PATH="$venv/bin:$PATH"

server="$packages/pytriton/tritonserver"
exec "$server/bin/tritonserver" --model-repository="$INFERSCOPE_ENGINES/triton-models" \
  --backend-directory="$server/backends" --http-address=127.0.0.1 --http-port="$http" \
  --grpc-address=127.0.0.1 --grpc-port="$grpc" --metrics-address=127.0.0.1 --metrics-port="$metrics" \
  --allow-gpu-metrics=false --backend-config=python,shm-default-byte-size=1048576 "$@"
