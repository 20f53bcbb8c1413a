"""Replicate on trial, with models that answer in different forms."""

from testkit.providers.replicate import TOKEN, VERSIONS, WEBHOOK_SECRET, build
from testkit.providers.trials import Ask, BytesSource, Subject, source

LINK = "https://house.example/a.png"
[FILM] = [version for version, name in VERSIONS.items() if name == "sim/film"]
FILM_VALUES = {"duration": {"5": "5", "10": "10"}}


def draw(*inputs: BytesSource, model: str = "sim/draw", **parameters: object) -> Ask:
    return Ask(capability="image.generate", upstream_model=model, inputs=inputs, parameters=parameters)


def film(**parameters: object) -> Ask:
    return Ask(
        capability="video.generate",
        upstream_model=f"sim/film:{FILM}",
        parameters={"duration": 10, "aspect_ratio": "16:9", "values": FILM_VALUES, **parameters},
        mime_type="video/mp4",
    )


def subject() -> Subject:
    return Subject(
        kind="replicate",
        simulator=build,
        options={
            "token": {"env": "REPLICATE_TOKEN"},
            "webhook_secret": {"env": "REPLICATE_WEBHOOK_SECRET"},
            "capabilities": ["image.generate", "image.inpaint", "image.upscale", "video.generate"],
            "outputs": {"sim/fill": "picture"},
            "input_moderation": ["input was flagged"],
            "output_moderation": ["NSFW"],
        },
        secrets={"REPLICATE_TOKEN": TOKEN, "REPLICATE_WEBHOOK_SECRET": WEBHOOK_SECRET},
        asks=[
            Ask(
                capability="image.generate",
                upstream_model="sim/draw",
                parameters={"width": 64, "height": 64, "seed_input": "seed"},
            ),
            Ask(
                capability="image.inpaint",
                upstream_model="sim/fill",
                parameters={"inputs": {"image": "image_url", "mask": "mask_url"}},
                inputs=[source(link=LINK), source(role="mask", link=LINK)],
            ),
            Ask(
                capability="image.upscale",
                upstream_model="sim/enlarge",
                parameters={
                    "factor": "4k",
                    "values": {"factor": {"2k": 2, "4k": 4}},
                    "inputs": {"image": "image_url"},
                },
                inputs=[source(link=LINK)],
                prompted=False,
            ),
            film(),
        ],
        task_ids=True,
        cancels=True,
        unsupported=[
            (film(duration=7), "duration"),
            (
                Ask(
                    capability="image.generate", upstream_model="sim/draw", inputs=[source(role="reference", link=LINK)]
                ),
                "inputs[0]",
            ),
            (
                Ask(
                    capability="image.generate",
                    upstream_model="sim/draw",
                    parameters={"inputs": {"reference": "image_urls[]"}},
                    inputs=[source(role="reference")],
                ),
                "inputs[0]",
            ),
            (Ask(capability="image.generate", upstream_model="no model"), ""),
        ],
    )
