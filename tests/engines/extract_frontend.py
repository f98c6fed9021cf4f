"""Takes vLLM's Rust front end out of the wheel in FOLDER, as FOLDER/vllm/vllm-rs, and removes the wheel.

usage: extract_frontend.py FOLDER
"""

import os
import pathlib
import sys
import zipfile

folder = pathlib.Path(sys.argv[1])
(wheel,) = folder.glob("vllm-*.whl")
with zipfile.ZipFile(wheel) as archive:
    data = archive.read("vllm/vllm-rs")
binary = folder / "vllm" / "vllm-rs"
binary.parent.mkdir(exist_ok=True)
# Renamed into place: a binary that is there is a whole one.
partial = binary.with_suffix(".partial")
partial.write_bytes(data)
partial.chmod(0o755)
os.replace(partial, binary)
wheel.unlink()
