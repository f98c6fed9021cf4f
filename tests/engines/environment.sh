# What vLLM needs to run on a small machine without a GPU and without a network. Sourced by the scripts that start it.
: "${INFERSCOPE_ENGINES:?the folder that cargo xtask setup --engines filled}"

# No request leaves this machine.
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1 VLLM_HOST_IP=127.0.0.1
# Small enough for two cores beside the tests.
export VLLM_CPU_KVCACHE_SPACE="${VLLM_CPU_KVCACHE_SPACE:-1}" VLLM_CPU_OMP_THREADS_BIND=nobind OMP_NUM_THREADS=1
# The AMX attention kernel dies of an illegal instruction on some virtual machines; so does bfloat16, which uses it.
export ONEDNN_MAX_CPU_ISA=AVX512_CORE
