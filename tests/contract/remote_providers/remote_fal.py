"""fal on trial, with models that answer in different forms."""

from testkit.providers.fal import KEY, build
from testkit.providers.trials import Ask, BytesSource, Subject, source

LINK = "https://house.example/a.png"


def draw(*inputs: BytesSource, model: str = "sim/draw/fast", **parameters: object) -> Ask:
    return Ask(capability="image.generate", upstream_model=model, inputs=inputs, parameters=parameters)


def film(**parameters: object) -> Ask:
    return Ask(
        capability="video.generate",
        upstream_model="sim/film",
        parameters={"aspect_ratio": "16:9", "values": {"duration": {"5": "5", "10": "10"}}, **parameters},
        mime_type="video/mp4",
    )


def subject() -> Subject:
    enlarge = {"factor": "4k", "values": {"factor": {"2k": 2, "4k": 4}}, "inputs": {"image": "image_url"}}
    return Subject(
        kind="fal",
        simulator=build,
        options={
            "key": {"env": "FAL_KEY"},
            "keys_url": "/.well-known/jwks.json",
            "capabilities": ["image.generate", "image.inpaint", "image.upscale", "video.generate"],
            "outputs": {"sim/fill": "picture"},
            "input_moderation": ["content_policy_violation"],
            "output_moderation": ["output_policy_violation"],
        },
        secrets={"FAL_KEY": KEY},
        asks=[
            Ask(
                capability="image.generate",
                upstream_model="sim/draw/fast",
                parameters={"image_size.width": 64, "image_size.height": 64, "seed_input": "seed"},
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
                parameters=enlarge,
                inputs=[source(link=LINK)],
                prompted=False,
            ),
            film(duration=10),
        ],
        task_ids=True,
        cancels=True,
        unsupported=[
            (film(duration=7), "duration"),
            (draw(source(role="reference", link=LINK)), "inputs[0]"),
            (draw(source(role="reference"), inputs={"reference": "image_urls[]"}), "inputs[0]"),
            (draw(model="model"), ""),
        ],
    )
