"""EvoLink, for the suite."""

from testkit.providers import evolink
from testkit.providers.faults import Fault
from testkit.providers.trials import Ask, Subject, source

LINK = "https://house.example/"


def subject() -> Subject:
    reference = source(role="reference", link=LINK + "r.png")
    image, mask = source(link=LINK + "i.png"), source(role="mask", link=LINK + "m.png")
    square = {"width": 1024, "height": 1024}
    film = {"duration": 5, "ratio": "16:9", "resolution": "720p"}
    return Subject(
        kind="evolink",
        simulator=evolink.build,
        options={"key": {"env": "TEST_EVOLINK_KEY"}},
        secrets={"TEST_EVOLINK_KEY": evolink.KEY},
        asks=[
            Ask(capability="image.generate", upstream_model="gpt-image-2", parameters=square),
            Ask(capability="image.generate", upstream_model="gpt-image-2", parameters=square, inputs=[reference]),
            Ask(capability="image.generate", upstream_model="gpt-image-1.5", parameters=square),
            Ask(capability="image.inpaint", upstream_model="gpt-4o-image", inputs=[image, mask]),
            Ask(
                capability="video.generate",
                upstream_model="seedance-2.0",
                parameters=film,
                mime_type="video/mp4",
            ),
            Ask(
                capability="video.generate",
                upstream_model="seedance-2.0-fast",
                parameters=film,
                inputs=[reference],
                mime_type="video/mp4",
            ),
        ],
        task_ids=True,
        unsupported=[
            (Ask(capability="image.upscale", upstream_model="gpt-image-2", inputs=[image], prompted=False), ""),
            (Ask(capability="image.generate", upstream_model="seedream-9", parameters=square), ""),
            (
                Ask(
                    capability="image.generate", upstream_model="gpt-image-2", parameters={"width": 256, "height": 256}
                ),
                "width",
            ),
            (Ask(capability="image.generate", upstream_model="gpt-image-2", inputs=[source()]), "inputs[0]"),
            (Ask(capability="image.inpaint", upstream_model="gpt-image-2", inputs=[image, mask]), "inputs[0]"),
            (
                Ask(capability="video.generate", upstream_model="seedance-2.0", parameters={"duration": 16}),
                "duration",
            ),
            (
                Ask(
                    capability="video.generate",
                    upstream_model="seedance-2.0-mini",
                    parameters={"resolution": "1080p"},
                ),
                "resolution",
            ),
        ],
        without={
            Fault.OUTPUT_MODERATED: "One code says prompt, input and output alike, and that repeating does not help.",
        },
    )
