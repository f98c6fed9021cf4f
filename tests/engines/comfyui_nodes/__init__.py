"""ComfyUI nodes for the tests: what core nodes need to run without a checkpoint, and what goes wrong on purpose.

run-comfyui.sh copies this folder into the server's own custom_nodes. Nothing here is good for making pictures.
"""

import copy
import time

import comfy.model_management
import comfy.model_patcher
import comfy.supported_models
import comfy.utils
import torch

# A UNet of the Stable Diffusion 1.x kind, two levels deep and 32 channels wide: about a million parameters.
TINY_UNET = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 32,
    "channel_mult": [1, 2],
    "num_res_blocks": [1, 1],
    "num_heads": 4,
    "num_head_channels": -1,
    "use_spatial_transformer": True,
    "transformer_depth": [1, 1],
    "transformer_depth_middle": 1,
    "transformer_depth_output": [1, 1, 1, 1],
    "context_dim": 16,
    "use_linear_in_transformer": False,
    "use_temporal_attention": False,
    "adm_in_channels": None,
    "legacy": False,
}
# Tokens that a text encoder of that kind gives.
TOKENS = 77
CPU = torch.device("cpu")


class TinyRandomUNet:
    """A model with random weights, and a conditioning that stands for an encoded text. `text` is not looked at."""

    CATEGORY = "inferscope"
    RETURN_TYPES = ("MODEL", "CONDITIONING")
    FUNCTION = "make"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"unet_name": ("STRING", {"default": "tiny-random"}), "seed": ("INT", {"default": 0})},
            "optional": {"text": ("STRING", {"default": ""})},
        }

    def make(self, unet_name, seed, text=""):
        torch.manual_seed(seed)
        config = comfy.supported_models.SD15({**copy.deepcopy(TINY_UNET), "dtype": torch.float32})
        config.set_inference_dtype(torch.float32, None)
        model = config.get_model({}, "", device=CPU)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.02)
        patcher = comfy.model_patcher.ModelPatcher(model.eval(), load_device=CPU, offload_device=CPU)
        return (patcher, [[torch.randn(1, TOKENS, TINY_UNET["context_dim"]), {}]])


class LatentAsImage:
    """Shows a latent's first three channels: what a VAE would decode, without one."""

    CATEGORY = "inferscope"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "show"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"samples": ("LATENT",)}}

    def show(self, samples):
        channels = samples["samples"][:, :3]
        low, high = channels.min(), channels.max()
        return (torch.nan_to_num((channels - low) / (high - low + 1e-6)).movedim(1, -1).contiguous(),)


class Wait:
    """Passes an image on after a while, telling of progress and open to interruption ten times on the way."""

    CATEGORY = "inferscope"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "wait"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",), "seconds": ("FLOAT", {"default": 1.0})}}

    def wait(self, image, seconds):
        progress = comfy.utils.ProgressBar(10)
        for _ in range(10):
            comfy.model_management.throw_exception_if_processing_interrupted()
            time.sleep(seconds / 10)
            progress.update(1)
        return (image,)


class Fail:
    """Raises an exception whose message quotes `text`, as the messages of real nodes quote their inputs."""

    CATEGORY = "inferscope"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "fail"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",), "text": ("STRING", {"default": ""})}}

    def fail(self, image, text):
        raise ValueError(f"cannot make sense of {text!r}")


NODES = [TinyRandomUNet, LatentAsImage, Wait, Fail]
# Other people's nodes have short names, too.
NODE_CLASS_MAPPINGS = {f"Inferscope{node.__name__}": node for node in NODES}
