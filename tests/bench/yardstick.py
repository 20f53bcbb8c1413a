"""The yardstick: a bare FastAPI app on the same server, which validates a body and echoes it."""

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Echo(BaseModel):
    """What a job request looks like, roughly."""

    capability: str
    prompt: str
    width: int = 1024
    height: int = 1024


app = FastAPI()


@app.post("/echo")
async def echo(body: Echo) -> Echo:
    """Answer with the body."""
    return body


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_config=None, access_log=False, loop="uvloop")
