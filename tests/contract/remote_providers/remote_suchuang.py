"""SuChuang, for the suite, with the codes and addresses that only an operator can know."""

from testkit.providers import suchuang
from testkit.providers.trials import Ask, Subject, source

LINK = "https://house.example/a.png"
CODES = suchuang.CODES


def subject() -> Subject:
    reference = source(role="reference", link=LINK)
    square = {"width": 1024, "height": 1024}
    film = {"duration": 10, "ratio": "16:9"}
    return Subject(
        kind="suchuang",
        simulator=suchuang.build,
        options={
            "key": {"env": "TEST_SUCHUANG_KEY"},
            "codes": {
                CODES["key"]: "account",
                CODES["balance"]: "account",
                CODES["moderated"]: "input_moderated",
                CODES["gone"]: "gone",
            },
            "messages": {suchuang.MODERATED_TEXT: "output_moderated"},
            "families": {
                "soraImg": {
                    "capability": "image.generate",
                    "submit_path": suchuang.SORA_IMG_SUBMIT,
                    "detail_path": "/api/img/drawDetail",
                    "encoding": "form",
                    "names": {"prompt": "prompt", "images": "url", "size": "size"},
                    "ratios": ["auto", "1:1", "2:3", "3:2"],
                    "status": {0: "queued", 1: "running", 2: "succeeded", 3: "failed"},
                },
            },
        },
        secrets={"TEST_SUCHUANG_KEY": suchuang.KEY},
        asks=[
            Ask(capability="image.generate", upstream_model="image_gpt", parameters=square, inputs=[reference]),
            Ask(capability="image.generate", upstream_model="image_gpt_2.5", parameters=square, inputs=[reference]),
            Ask(capability="image.generate", upstream_model="nanoBanana", inputs=[reference]),
            Ask(capability="image.generate", upstream_model="soraImg", parameters=square, inputs=[reference]),
            Ask(capability="image.generate", upstream_model="image_gpt", parameters=square),
            Ask(
                capability="video.generate",
                upstream_model="sora2",
                parameters=film,
                inputs=[reference],
                mime_type="video/mp4",
            ),
        ],
        task_ids=True,
        unsupported=[
            (Ask(capability="image.upscale", upstream_model="image_gpt", inputs=[reference], prompted=False), ""),
            (Ask(capability="image.generate", upstream_model="sora2"), ""),
            (Ask(capability="image.generate", upstream_model="no-such-family"), ""),
            (Ask(capability="image.generate", upstream_model="image_gpt", inputs=[source()]), "inputs[0]"),
            (Ask(capability="video.generate", upstream_model="sora2", parameters={**film, "duration": 5}), "duration"),
            (Ask(capability="video.generate", upstream_model="sora2", parameters={**film, "ratio": "1:1"}), "ratio"),
        ],
    )
