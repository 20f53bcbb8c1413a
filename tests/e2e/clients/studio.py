"""A partner's program for the studio contract: the calls of its document with httpx, multipart, field by field.

python studio.py BASE_URL USER_KEY PICTURE ENDPOINT [NAME=VALUE ...]

Submits one task, asks for its status until it is over, and prints the submit's answer and the last status as two lines
of JSON. Exits 1 when the contract says no.
"""

import json
import sys
import time
from typing import Any

import httpx

POLL_S = 1.0
POLLS_MAX = 180

#: The example values of the document, endpoint by endpoint, as Python values: httpx turns them into text.
EXAMPLES: dict[str, dict[str, str | float | int | bool]] = {
    "submit_task": {
        "sdxl_model_dropdown": "通用模型",
        "style_dropdown": "通用风格",
        "prompt": "",
        "neg_prompt": "",
        "upscale": 1.0,
        "s_noise": 1.003,
        "steps": 30,
        "high_fidelity": False,
        "strong_inpaint": False,
        "vector_switch": False,
        "color_count": 5,
        "auto_generate_prompt": False,
    },
    "submit_vector_task": {"color_count": 5},
    "submit_face_enhance_task": {},
    "submit_seamless_task": {
        "fit": 0.3,
        "direction": 0,
        "expand_top": 0.2,
        "expand_bottom": 0.1,
        "expand_left": 0.0,
        "expand_right": 0.0,
    },
    "submit_remove_fabric_task": {},
    "submit_edit_image_task": {"prompt": "将这张图片转换为水彩画风格", "model_version": "v2"},
    "submit_extract_pattern_task": {"aspect_ratio": "1:1"},
    "submit_remove_diamonds_task": {},
    "submit_expand_image_task": {
        "expand_top": 0.2,
        "expand_bottom": 0.1,
        "expand_left": 0.0,
        "expand_right": 0.0,
        "prompt": "延续原图的风格和内容",
    },
    "submit_remove_watermark_task": {},
}


class Refused(Exception):
    """`err_code` was not 0."""


def submit(base_url: str, user_key: str, endpoint: str, picture: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Submit a task and return the answer. Raises Refused."""
    with open(picture, "rb") as image_file:
        response = httpx.post(
            f"{base_url}/api/{endpoint}",
            data={"user_key": user_key, **fields},
            files={"input_image": image_file},
            timeout=httpx.Timeout(connect=5.0, read=10.0, write=30.0, pool=None),
        )
    return _content(response)


def wait(base_url: str, user_key: str, task_id: str) -> dict[str, Any]:
    """Ask until the task is over and return the last answer. Raises Refused, TimeoutError."""
    for _ in range(POLLS_MAX):
        response = httpx.post(f"{base_url}/api/check_task_status", data={"user_key": user_key, "task_id": task_id})
        status_info = _content(response)
        if status_info["status"] in ("Completed", None, "Failed"):
            return status_info
        time.sleep(POLL_S)
    raise TimeoutError(task_id)


def _content(response: httpx.Response) -> dict[str, Any]:
    response.raise_for_status()
    result: dict[str, Any] = response.json()
    if result.get("err_code") != 0:
        raise Refused(result.get("err_msg"))
    return result


def main() -> int:
    """Run the program; the exit status."""
    base_url, user_key, picture, endpoint, *changes = sys.argv[1:]
    fields = EXAMPLES[endpoint] | dict(change.split("=", 1) for change in changes)
    try:
        submitted = submit(base_url, user_key, endpoint, picture, fields)
        print(json.dumps(submitted))
        print(json.dumps(wait(base_url, user_key, submitted["task_id"])))
    except Refused as refusal:
        print(f"refused: {refusal}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
