"""A small CUDA load: holds so many GiB of device memory and multiplies matrices until it is ended."""

import sys

import torch

held = torch.empty(int(float(sys.argv[1]) * 2**30), dtype=torch.uint8, device="cuda")
a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
print("loaded", flush=True)
while True:
    b = a @ a
    torch.cuda.synchronize()
