"""What a ComfyUI server checks of a graph before it queues it: classes, links, ranges, choices."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

CHECKPOINTS: Final = ("sim.safetensors",)
UPSCALE_MODELS: Final = ("sim-4x.pth",)
SAMPLERS: Final = ("euler", "euler_ancestral", "dpmpp_2m", "ddim", "uni_pc")
SCHEDULERS: Final = ("normal", "karras", "exponential", "simple")
METHODS: Final = ("nearest-exact", "bilinear", "area", "bicubic", "lanczos")
FILES: Final = "uploaded files"  #: A choice among what was uploaded.


@dataclass(frozen=True)
class NodeClass:
    """Inputs by name: a type to link ("MODEL"), "STRING", a range of numbers, or choices."""

    inputs: Mapping[str, Any]
    outputs: tuple[str, ...] = ()
    saves: bool = False


_SIDE: Final = (int, 16, 16_384)
_SCALED_SIDE: Final = (int, 0, 16_384)
CLASSES: Final = {
    "CheckpointLoaderSimple": NodeClass({"ckpt_name": CHECKPOINTS}, ("MODEL", "CLIP", "VAE")),
    "CLIPTextEncode": NodeClass({"text": "STRING", "clip": "CLIP"}, ("CONDITIONING",)),
    "EmptyLatentImage": NodeClass({"width": _SIDE, "height": _SIDE, "batch_size": (int, 1, 4096)}, ("LATENT",)),
    "KSampler": NodeClass(
        {
            "model": "MODEL",
            "seed": (int, 0, 2**64 - 1),
            "steps": (int, 1, 10_000),
            "cfg": (float, 0.0, 100.0),
            "sampler_name": SAMPLERS,
            "scheduler": SCHEDULERS,
            "positive": "CONDITIONING",
            "negative": "CONDITIONING",
            "latent_image": "LATENT",
            "denoise": (float, 0.0, 1.0),
        },
        ("LATENT",),
    ),
    "VAEDecode": NodeClass({"samples": "LATENT", "vae": "VAE"}, ("IMAGE",)),
    "VAEEncode": NodeClass({"pixels": "IMAGE", "vae": "VAE"}, ("LATENT",)),
    "VAEEncodeForInpaint": NodeClass(
        {"pixels": "IMAGE", "vae": "VAE", "mask": "MASK", "grow_mask_by": (int, 0, 64)}, ("LATENT",)
    ),
    "LoadImage": NodeClass({"image": FILES}, ("IMAGE", "MASK")),
    "LoadImageMask": NodeClass({"image": FILES, "channel": ("alpha", "red", "green", "blue")}, ("MASK",)),
    "UpscaleModelLoader": NodeClass({"model_name": UPSCALE_MODELS}, ("UPSCALE_MODEL",)),
    "ImageUpscaleWithModel": NodeClass({"upscale_model": "UPSCALE_MODEL", "image": "IMAGE"}, ("IMAGE",)),
    "ImageScale": NodeClass(
        {
            "image": "IMAGE",
            "upscale_method": METHODS,
            "width": _SCALED_SIDE,
            "height": _SCALED_SIDE,
            "crop": ("disabled", "center"),
        },
        ("IMAGE",),
    ),
    "SaveImage": NodeClass({"images": "IMAGE", "filename_prefix": "STRING"}, saves=True),
    "SimSaveFilm": NodeClass({"text": "STRING", "seconds": (int, 1, 60)}, saves=True),  # As an operator's own node.
}


class GraphRefused(Exception):
    """A 400: `error` and `node_errors` as the server words them."""

    def __init__(self, kind: str, message: str, node_errors: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.body = {
            "error": {"type": kind, "message": message, "details": "", "extra_info": {}},
            "node_errors": dict(node_errors or {}),
        }


def check(graph: Any, files: Mapping[str, bytes]) -> None:
    """Raises GraphRefused."""
    if not isinstance(graph, dict) or not graph:
        raise GraphRefused("no_prompt", "No prompt provided")
    for key, node in graph.items():
        if not isinstance(node, dict) or node.get("class_type") not in CLASSES:
            raise GraphRefused("missing_node_type", f"Node '{key}' has an unknown class_type")
    if not any(CLASSES[node["class_type"]].saves for node in graph.values()):
        raise GraphRefused("prompt_no_outputs", "Prompt has no outputs")
    faults = {}
    for key, node in graph.items():
        errors = _errors(graph, node, files)
        if errors:
            faults[key] = {"errors": errors, "dependent_outputs": [], "class_type": node["class_type"]}
    if faults:
        raise GraphRefused("prompt_outputs_failed_validation", "Prompt outputs failed validation", faults)


def _errors(graph: Mapping[str, Any], node: Mapping[str, Any], files: Mapping[str, bytes]) -> list[dict[str, Any]]:
    found = []
    for name, wanted in CLASSES[node["class_type"]].inputs.items():
        kind = _fault(graph, node["inputs"].get(name), wanted, files)
        if kind:
            extra = {"input_name": name}
            found.append({"type": kind, "message": kind, "details": name, "extra_info": extra})
    return found


def _fault(graph: Mapping[str, Any], value: Any, wanted: Any, files: Mapping[str, bytes]) -> str:
    if value is None:
        return "required_input_missing"
    if wanted == "STRING":
        return "" if isinstance(value, str) else "invalid_input_type"
    if wanted == FILES:
        return "" if value in files else "value_not_in_list"
    if isinstance(wanted, str):
        return "" if _gives(graph, value, wanted) else "return_type_mismatch"
    if isinstance(wanted[0], type):
        return _fault_of_number(value, *wanted)
    return "" if value in wanted else "value_not_in_list"


def _gives(graph: Mapping[str, Any], link: Any, wanted: str) -> bool:
    match link:
        case [str(key), int(slot)] if key in graph:
            outputs = CLASSES[graph[key]["class_type"]].outputs
            return slot < len(outputs) and outputs[slot] == wanted
    return False


def _fault_of_number(value: Any, kind: type, low: float, high: float) -> str:
    if isinstance(value, bool) or not isinstance(value, int if kind is int else int | float):
        return "invalid_input_type"
    return "value_smaller_than_min" if value < low else "value_bigger_than_max" if value > high else ""


def size_of(graph: Mapping[str, Any]) -> tuple[int, int]:
    """Width and height of what a checked graph saves."""
    size = (64, 64)
    for node in graph.values():  # In the graphs of tests, nodes stand in the order of the work.
        if node["class_type"] in ("EmptyLatentImage", "ImageScale"):
            size = (node["inputs"]["width"], node["inputs"]["height"])
    return size


def prompt_of(graph: Any) -> str:
    """The text of the first node that has one."""
    for node in graph.values() if isinstance(graph, dict) else ():
        if isinstance(node, dict) and isinstance(node.get("inputs"), dict):
            text = node["inputs"].get("text")
            if isinstance(text, str):
                return text
    return ""
