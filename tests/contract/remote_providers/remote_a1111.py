"""AUTOMATIC1111 on trial."""

import io

from PIL import Image

from testkit.providers.a1111 import LOGIN, build
from testkit.providers.faults import Fault
from testkit.providers.trials import Ask, BytesSource, Subject, source

NO_TASKS = "There are no tasks: the picture is in the answer to the submit."
NO_MODERATION = "The server draws whatever it is asked for."
IN_THE_ANSWER = (
    "The picture is in the submit's answer; one that does not end leaves the outcome unknown, as hanging does."
)


def mask() -> BytesSource:
    """White in the middle."""
    image = Image.new("L", (64, 64), 0)
    image.paste(255, (16, 16, 48, 48))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    made = BytesSource(buffer.getvalue(), role="mask")
    made.field = "inputs[1]"
    return made


def draw(**parameters: object) -> Ask:
    """A picture by a prompt."""
    return Ask(capability="image.generate", upstream_model="loaded", parameters=parameters)


def upscale(*inputs: BytesSource, **parameters: object) -> Ask:
    """A larger picture."""
    return Ask(
        capability="image.upscale",
        upstream_model="R-ESRGAN 4x+",
        parameters=parameters,
        inputs=inputs or [source()],
        prompted=False,
    )


def subject() -> Subject:
    """The subject."""
    reference, other = source(role="reference"), source(size=(32, 64))
    two = [source(role="reference"), source(role="reference")]
    two[1].field = "inputs[1]"
    return Subject(
        kind="a1111",
        simulator=build,
        options={
            "login": {"env": "A1111_LOGIN"},
            "work_s": 1.5,
            "progress_every_s": 0.03,
            "pixels_max": 2048 * 2048,
            "repeatable": False,  # As where each call is charged: the stricter way.
        },
        secrets={"A1111_LOGIN": LOGIN},
        asks=[
            draw(width=500, height=300),
            draw(),
            Ask(capability="image.generate", upstream_model="sdxl.safetensors", inputs=[reference]),
            Ask(capability="image.inpaint", upstream_model="loaded", inputs=[source(), mask()]),
            upscale(),
            upscale(resolution="2k"),
        ],
        task_ids=False,
        unsupported=[
            (draw(width=2049, height=2048), "width"),
            (Ask(capability="image.generate", upstream_model="loaded", inputs=two), "inputs[1]"),
            (
                Ask(capability="image.generate", upstream_model="loaded", inputs=[source(role="last_frame")]),
                "inputs[0]",
            ),
            (Ask(capability="image.inpaint", upstream_model="loaded", inputs=[source()]), "inputs"),
            (Ask(capability="image.inpaint", upstream_model="loaded", inputs=[other, mask()]), "inputs[1]"),
            (upscale(scale=9), "scale"),
            (upscale(source(size=(2100, 100)), resolution="2k"), "resolution"),
            (upscale(source(size=(2000, 2000)), scale=8), "scale"),
        ],
        without={
            Fault.TOO_MANY: "The server has no rate limit; what is too much waits in its queue.",
            Fault.MODERATED: NO_MODERATION,
            Fault.OUTPUT_MODERATED: NO_MODERATION,
            Fault.ERROR_BODY: "The server answers 200 with pictures alone.",
            Fault.LOST_TASK: NO_TASKS,
            Fault.POLL_BROKEN: NO_TASKS,
            Fault.EXPIRED: IN_THE_ANSWER,
            Fault.DRIP: IN_THE_ANSWER,
            Fault.ENDLESS: IN_THE_ANSWER,
        },
    )
