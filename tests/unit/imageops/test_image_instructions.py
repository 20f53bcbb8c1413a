"""Instructions in two languages: the same effects for twins, and a refusal for what is not understood whole."""

import pytest

from imageops.editing.instructions import read_instruction

TWINS = [
    ("turn this photo into a watercolor painting", "将这张图片转换为水彩画风格", ["watercolour"]),
    ("Make it look like an oil painting.", "变成油画风格", ["oil"]),
    ("cartoon style", "卡通化", ["cartoon"]),
    ("anime", "二次元风格", ["cartoon"]),
    ("a pencil sketch, please", "请画成素描", ["sketch"]),
    ("convert to black and white", "把图片变成黑白", ["grey"]),
    ("greyscale", "灰度图", ["grey"]),
    ("give it a vintage look", "怀旧老照片效果", ["sepia"]),
    ("invert the colors", "反色", ["invert"]),
    ("warmer tones", "让色调更温暖", ["warmer"]),
    ("cool it down", "调成冷色调", ["cooler"]),
    ("make the picture brighter", "提高亮度", ["brighter"]),
    ("less bright", "把画面调暗", ["darker"]),
    ("more vivid colours", "让颜色更鲜艳", ["vivid"]),
    ("reduce the saturation", "降低饱和度", ["muted"]),
    ("increase the contrast", "增强对比度", ["contrast"]),
    ("lower contrast", "降低对比度", ["flat"]),
    ("sharpen the image", "让图片更清晰", ["sharper"]),
    ("blur the image", "模糊", ["softer"]),
    ("remove the noise", "去除噪点", ["smoother"]),
    ("blur the background", "背景虚化", ["blurred background"]),
    ("mirror it", "左右翻转", ["mirrored"]),
    ("turn it upside down", "上下翻转", ["flipped"]),
    ("pixel art", "像素风格", ["pixels"]),
    ("add a vignette", "添加暗角", ["vignette"]),
    ("black and white, then increase the contrast", "变成黑白，然后增强对比度", ["grey", "contrast"]),
    ("warmer and brighter and warmer", "变暖并提亮，再变暖", ["warmer", "brighter"]),
    ("oil painting with a vignette", "油画加暗角", ["oil", "vignette"]),
    ("Brighten it up!", "亮一些！", ["brighter"]),
    ("WATERCOLOUR", "水彩", ["watercolour"]),
]


@pytest.mark.parametrize(("english", "chinese", "effects"), TWINS)
def test_twins_mean_the_same(english: str, chinese: str, effects: list[str]) -> None:
    assert [step.effect for step in read_instruction(english)] == effects
    assert [step.effect for step in read_instruction(chinese)] == effects


@pytest.mark.parametrize(
    "text",
    [
        "make the cat wear a hat",
        "给猫戴一顶帽子",
        "make the cat brighter",
        "让天空更亮",
        "turn the car red",
        "把背景变成黑白",
        "blur the face",
        "不要变暗",
        "don't darken it",
        "remove the person and make it brighter",
        "watercolour of a dragon",
        "水墨画",
        "月亮",
        "brightness",
        "please",
        "hello",
        "把这张图片",
        "...",
        " ",
        "oiled",
        "🙂",
    ],
)
def test_nothing_is_done_when_a_word_is_not_understood(text: str) -> None:
    assert read_instruction(text) == []


@pytest.mark.parametrize(
    ("text", "degrees"),
    [
        ("slightly warmer and much brighter", [0.5, 1.6]),
        ("稍微调亮，非常鲜艳", [0.5, 1.6]),
        ("brighten it a little", [0.5]),
        ("暗一些", [0.5]),
        ("warmer, brighter slightly", [1.0, 0.5]),
        ("大幅提高亮度并稍微增强对比度", [1.6, 0.5]),
        ("brighter", [1.0]),
    ],
)
def test_degree_belongs_to_the_nearest_effect_of_its_clause(text: str, degrees: list[float]) -> None:
    assert [step.degree for step in read_instruction(text)] == degrees


def test_full_width_and_traditional_characters_are_read() -> None:
    assert [step.effect for step in read_instruction("ＯＩＬ　ＰＡＩＮＴＩＮＧ")] == ["oil"]
    assert [step.effect for step in read_instruction("轉換為油畫風格")] == ["oil"]


def test_long_text_is_read_in_no_time() -> None:
    assert len(read_instruction("变成水彩画风格，" * 250)) == 1
    assert read_instruction("make it " * 240 + "x") == []
