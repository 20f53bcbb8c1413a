"""Ark on trial with its films; `remote_ark_pictures.py` has the same account with its pictures first."""

from dataclasses import replace

from testkit.providers import ark
from testkit.providers.trials import Ask, Subject, source

FILM = Ask(
    capability="video.generate",
    upstream_model="doubao-seedance-2-0-260128",
    parameters={"duration": 5, "ratio": "16:9", "resolution": "720p"},
    mime_type="video/mp4",
)
PICTURE = Ask(
    capability="image.generate",
    upstream_model="doubao-seedream-4-0-250828",
    parameters={"width": 1024, "height": 1024, "scale": 50, "quality": "high", "negative_prompt": "rain"},
    mime_type="image/jpeg",
    task_id=False,
)


def subject() -> Subject:
    return Subject(
        kind="ark",
        simulator=ark.build,
        options={"key": {"env": "ARK_API_KEY"}, "work_s": 1.0},
        secrets={"ARK_API_KEY": ark.KEY},
        base_path=ark.BASE,
        asks=[
            FILM,
            replace(FILM, inputs=[source(role="reference"), source(role="reference", link="https://house.test/2")]),
            replace(FILM, inputs=[source(role="first_frame"), source(role="last_frame")]),
            replace(FILM, upstream_model="doubao-seedance-1-0-pro-250528", parameters={"ratio": "adaptive"}),
            PICTURE,
            replace(PICTURE, inputs=[source(role="reference")]),
        ],
        task_ids=True,
        # `cancels` is of running tasks: Ark ends those in the queue only, which has tests of its own.
        unsupported=[
            (replace(FILM, parameters={"duration": 3}), "duration"),
            (replace(FILM, parameters={"duration": 16}), "duration"),
            (replace(FILM, parameters={"resolution": "8k"}), "resolution"),
            (
                replace(FILM, upstream_model="doubao-seedance-2-0-fast-260128", parameters={"resolution": "1080p"}),
                "resolution",
            ),
            (replace(FILM, parameters={"ratio": "2:1"}), "ratio"),
            (replace(FILM, inputs=[source(role="mask")]), "inputs[0]"),
            (replace(PICTURE, parameters={"width": 512, "height": 512}), "width"),
            (replace(PICTURE, parameters={"width": 1024}), "height"),
            (replace(PICTURE, inputs=[source(role="mask")]), "inputs[0]"),
        ],
    )
