"""即梦 Jimeng on trial."""

from testkit.providers.jimeng import ACCESS_KEY, SECRET_KEY, build
from testkit.providers.trials import Ask, Subject, source

JPEG, MP4 = "image/jpeg", "video/mp4"
LINK = "https://house.example/a.png"
PICTURE = source(size=(640, 480))
LINKED = source(size=(640, 480), link=LINK)
GENERATE, INPAINT = "jimeng_t2i_v40", "jimeng_image2image_dream_inpaint"
UPSCALE, FILM = "jimeng_i2i_seed3_tilesr_cvtob", "jimeng_ti2v_v30_pro"

SMALL = {"width": 64, "height": 64}
SIZE = {"width": 1024, "height": 1024}


def subject() -> Subject:
    """Its capabilities, by text and by pictures."""
    film = {"duration": 5, "resolution": "1080p", "ratio": "adaptive"}
    mask = source(role="mask", size=(640, 480), seed=3)
    return Subject(
        kind="jimeng",
        simulator=build,
        options={"access_key": {"env": "JIMENG_ACCESS_KEY"}, "secret_key": {"env": "JIMENG_SECRET_KEY"}},
        secrets={"JIMENG_ACCESS_KEY": ACCESS_KEY, "JIMENG_SECRET_KEY": SECRET_KEY},
        asks=(
            Ask(
                capability="image.generate",
                upstream_model=GENERATE,
                parameters={**SIZE, "scale": 50, "quality": "medium", "negative_prompt": "rain", "force_single": True},
                mime_type=JPEG,
            ),
            Ask(capability="image.generate", upstream_model=GENERATE, inputs=(LINKED,), mime_type=JPEG),
            Ask(capability="image.inpaint", upstream_model=INPAINT, inputs=(PICTURE, mask), mime_type=JPEG),
            Ask(
                capability="image.upscale",
                upstream_model=UPSCALE,
                parameters={"resolution": "4k"},
                inputs=(PICTURE,),
                mime_type=JPEG,
                prompted=False,
            ),
            Ask(capability="video.generate", upstream_model=FILM, parameters=film, mime_type=MP4),
            Ask(capability="video.generate", upstream_model=FILM, parameters=film, inputs=(PICTURE,), mime_type=MP4),
            Ask(
                capability="video.generate",
                upstream_model=FILM,
                parameters=film,
                inputs=(PICTURE, source(role="last_frame", size=(640, 480), seed=2)),
                mime_type=MP4,
            ),
        ),
        task_ids=True,
        unsupported=(
            (
                Ask(capability="image.generate", upstream_model=GENERATE, parameters={"width": 64, "height": 64}),
                "width",
            ),
            (Ask(capability="image.generate", upstream_model=GENERATE, inputs=(PICTURE,)), "inputs[0]"),
            (Ask(capability="image.generate", upstream_model="dall-e-3"), ""),
            (Ask(capability="image.inpaint", upstream_model=INPAINT, inputs=(PICTURE,)), "inputs"),
            (
                Ask(
                    capability="image.upscale",
                    upstream_model=UPSCALE,
                    parameters={"resolution": "2k"},
                    inputs=(PICTURE,),
                ),
                "resolution",
            ),
            (Ask(capability="video.generate", upstream_model=FILM, parameters={"duration": 7}), "duration"),
            (Ask(capability="video.generate", upstream_model=FILM, parameters={"resolution": "480p"}), "resolution"),
            (Ask(capability="video.generate", upstream_model=FILM, parameters={"ratio": "2:1"}), "ratio"),
        ),
    )
