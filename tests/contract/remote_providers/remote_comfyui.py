"""ComfyUI on trial: all four capabilities, films by an operator's own graph."""

from pathlib import Path

from testkit.providers import comfyui
from testkit.providers.faults import Fault
from testkit.providers.trials import Ask, Subject, source

GRAPHS = Path(__file__).parent / "comfyui_graphs"
MODEL = {"checkpoint": "sim.safetensors"}


def draw(**parameters: object) -> Ask:
    return Ask(capability="image.generate", upstream_model="txt2img", parameters=parameters)


def film(**parameters: object) -> Ask:
    return Ask(
        capability="video.generate",
        upstream_model="film",
        parameters={"duration": 5, **parameters},
        mime_type="video/mp4",
    )


def subject() -> Subject:
    return Subject(
        kind="comfyui",
        simulator=comfyui.build,
        options={
            "graphs": str(GRAPHS),
            "capabilities": ["image.generate", "image.inpaint", "image.upscale", "video.generate"],
        },
        secrets={},
        asks=[
            Ask(
                capability="image.generate",
                upstream_model="txt2img,img2img",
                parameters={**MODEL, "width": 72, "height": 60},
            ),
            Ask(
                capability="image.generate",
                upstream_model="txt2img,img2img",
                parameters={**MODEL, "width": 64, "height": 64, "quality": "high", "scale": 50},
                inputs=[source(role="reference")],
            ),
            Ask(
                capability="image.inpaint",
                upstream_model="inpaint",
                parameters=MODEL,
                inputs=[source(), source(role="mask", seed=2)],
            ),
            Ask(
                capability="image.upscale",
                upstream_model="upscale",
                parameters={"scale": 2, "upscale_model": "sim-4x.pth"},
                inputs=[source()],
                prompted=False,
            ),
            film(),
        ],
        task_ids=True,
        found_by_attempt=True,
        cancels=True,
        unsupported=[
            (draw(**MODEL, width=4), "width"),
            (
                Ask(capability="image.generate", upstream_model="txt2img", parameters={"width": 64, "height": 64}),
                "checkpoint",
            ),
            (
                Ask(capability="video.generate", upstream_model="film", parameters={"duration": 5, "ratio": "16:9"}),
                "ratio",
            ),
            (
                Ask(
                    capability="image.upscale",
                    upstream_model="upscale",
                    parameters={"resolution": "2k", "upscale_model": "sim-4x.pth"},
                    inputs=[source(size=(2100, 10))],
                ),
                "resolution",
            ),
            (
                Ask(
                    capability="image.generate",
                    upstream_model="txt2img",
                    parameters={**MODEL, "width": 64, "height": 64},
                    inputs=[source(role="reference")],
                ),
                "inputs[0]",
            ),
            (Ask(capability="image.inpaint", upstream_model="inpaint", parameters=MODEL, inputs=[source()]), "inputs"),
        ],
        without={
            Fault.MODERATED: "It moderates nothing; it is the operator's own.",
            Fault.OUTPUT_MODERATED: "It moderates nothing; it is the operator's own.",
        },
    )
