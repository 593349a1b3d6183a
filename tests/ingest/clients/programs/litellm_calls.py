"""LiteLLM with one of its callbacks: a call, its cache hit, a call of a model without a price, and a synchronous call."""

import asyncio
import os
import sys
import time

callback, url = sys.argv[1], os.environ["URL"]
os.environ.update(
    LITELLM_LOCAL_MODEL_COST_MAP="True",
    OPENMETER_API_ENDPOINT=f"{url}/openmeter", OPENMETER_API_KEY=os.environ["KEY"],
    LAGO_API_BASE=f"{url}/lago", LAGO_API_KEY=os.environ["KEY"], LAGO_API_EVENT_CODE="tokens",
    GENERIC_LOGGER_ENDPOINT=f"{url}/litellm", GENERIC_LOGGER_HEADERS=f"Authorization=Bearer {os.environ['KEY']}",
)  # fmt: skip
import litellm  # noqa: E402
from litellm.caching.caching import Cache  # noqa: E402
from litellm.integrations.generic_api.generic_api_callback import GenericAPILogger  # noqa: E402
from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler  # noqa: E402

litellm.cache = Cache(type="local")
ask = {
    "messages": [{"role": "user", "content": "hi"}], "mock_response": "hello", "user": "ada", "metadata": {},
    "proxy_server_request": {"body": {"user": "ada"}},
}  # fmt: skip
answered, post = 0, AsyncHTTPHandler.post


async def counted_post(*arguments, **more):
    """The callbacks' own requests: they send in the background, and say nothing when they are done."""
    global answered
    answer = await post(*arguments, **more)
    answered += 1
    return answer


AsyncHTTPHandler.post = counted_post
CALLS = [("gpt-4o-mini", True), ("gpt-4o-mini", True), ("openai/in-house", False)]


async def main() -> None:
    if callback in ("openmeter", "lago"):
        litellm.callbacks = [callback]
        for number, (model, caching) in enumerate(CALLS, 1):
            await litellm.acompletion(model=model, caching=caching, **ask)
            async with asyncio.timeout(60):
                while answered < number:
                    await asyncio.sleep(0.05)
            await asyncio.sleep(1)  # the cache stores the answer in the background too
        return
    logger = GenericAPILogger(log_format=callback)
    litellm.callbacks = [logger]
    for number, (model, caching) in enumerate(CALLS, 1):
        await litellm.acompletion(model=model, caching=caching, **ask)
        while len(logger.log_queue) < number:
            await asyncio.sleep(0.05)
    await logger.async_send_batch()


asyncio.run(main())
if callback in ("openmeter", "lago"):
    litellm.completion(model="gpt-4o-mini", caching=False, **ask)
    time.sleep(2)
