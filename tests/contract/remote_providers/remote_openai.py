"""OpenAI Images on trial."""

import io

from PIL import Image

from testkit.providers.faults import Fault
from testkit.providers.openai import KEY, build
from testkit.providers.trials import Ask, BytesSource, Subject, source

NO_TASKS = "There are no tasks: the picture is in the answer to the submit."
IN_THE_ANSWER = (
    "The picture is in the answer to the submit, and an answer that does not end leaves the outcome unknown."
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


def ask(**parameters: object) -> Ask:
    """A picture by a prompt."""
    return Ask(capability="image.generate", upstream_model="gpt-image-1", parameters=parameters)


def subject() -> Subject:
    """The subject."""
    wide = {"width": 1000, "height": 700}
    reference, other = source(role="reference"), source(size=(32, 64))
    return Subject(
        kind="openai",
        simulator=build,
        options={"key": {"env": "OPENAI_KEY"}, "work_s": 1.5, "cost_fen_per_output": 30},
        secrets={"OPENAI_KEY": KEY},
        base_path="/v1",
        asks=[
            ask(width=512, height=512, quality="low"),
            ask(),
            Ask(capability="image.generate", upstream_model="gpt-image-2", parameters=wide, inputs=[reference]),
            Ask(capability="image.inpaint", upstream_model="gpt-image-1", inputs=[source(), mask()]),
        ],
        task_ids=False,
        unsupported=[
            (ask(width=2048, height=2048), "width"),
            (ask(width=1024, height=256), "width"),
            (Ask(capability="image.inpaint", upstream_model="gpt-image-1", inputs=[source()]), "inputs"),
            (
                Ask(capability="image.inpaint", upstream_model="gpt-image-1", inputs=[other, mask()]),
                "inputs[1]",
            ),
            (Ask(capability="image.generate", upstream_model="gpt-image-1", inputs=[mask()]), "inputs[1]"),
        ],
        without={
            Fault.LOST_TASK: NO_TASKS,
            Fault.POLL_BROKEN: NO_TASKS,
            Fault.EXPIRED: IN_THE_ANSWER,
            Fault.DRIP: IN_THE_ANSWER,
            Fault.ENDLESS: IN_THE_ANSWER,
        },
    )
