"""The official Anthropic client for Python, unmodified, against the provider simulator.

Started by tests/sdk_providers.rs, which sets BASE_URL, API_KEY and TIGHT_KEY (one request a minute). A model's name
ending in `sim-NAME` chooses a fault.
"""

import asyncio
import json
import os
import unittest

import anthropic
from anthropic import Anthropic, AsyncAnthropic, Omit
from pydantic import BaseModel

BASE_URL = os.environ["BASE_URL"]
API_KEY = os.environ["API_KEY"]
TIGHT_KEY = os.environ["TIGHT_KEY"]
MODEL = "claude-opus-5"
HELLO = [{"role": "user", "content": "Say hello."}]
# A red dot.
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4//8/w38GIAXDIBKE0DHx"
    "gljNBAAO9TXL0Y4OHwAAAABJRU5ErkJggg=="
)
WEATHER = {
    "name": "get_weather",
    "description": "The weather at a place.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
    },
}
TIME = {
    "name": "get_time",
    "input_schema": {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]},
}
# Each class of error with a model that causes it: (exception, status, model, type).
ERRORS = [
    (anthropic.BadRequestError, 400, "sim-error-400", "invalid_request_error"),
    (anthropic.BadRequestError, 400, "sim-error-context", "invalid_request_error"),
    (anthropic.AuthenticationError, 401, "sim-error-401", "authentication_error"),
    (anthropic.PermissionDeniedError, 403, "sim-error-403", "permission_error"),
    (anthropic.NotFoundError, 404, "no-such-model", "not_found_error"),
    (anthropic.APIStatusError, 413, "sim-error-413", "request_too_large"),
    (anthropic.RateLimitError, 429, "sim-error-429", "rate_limit_error"),
    (anthropic.InternalServerError, 500, "sim-error-500", "api_error"),
    (anthropic.InternalServerError, 529, "sim-error-529", "overloaded_error"),
]


class Place(BaseModel):
    city: str
    population: int


def client(api_key=API_KEY, **options):
    return Anthropic(base_url=BASE_URL, api_key=api_key, timeout=20, **{"max_retries": 0, **options})


class Messages(unittest.TestCase):
    def setUp(self):
        self.client = client()
        self.addCleanup(self.client.close)

    def create(self, **options):
        return self.client.messages.create(**{"model": MODEL, "max_tokens": 2000, "messages": HELLO, **options})

    def test_plain(self):
        message = self.create(system="Be brief.", metadata={"user_id": "u-1"}, stop_sequences=["never said"])
        self.assertEqual((message.type, message.role, message.stop_reason), ("message", "assistant", "end_turn"))
        self.assertEqual(message.model, MODEL)
        self.assertTrue(message.content[0].text)
        self.assertTrue(message._request_id.startswith("req_"))
        self.assertGreater(message.usage.input_tokens, 0)
        self.assertGreater(message.usage.output_tokens, 0)
        self.assertEqual(message.usage.cache_read_input_tokens, 0)

    def test_the_first_version(self):
        headers = {"X-Api-Key": API_KEY, "Authorization": Omit(), "anthropic-version": "2023-06-01"}
        message = self.create(extra_headers=headers, extra_body={"temperature": 0.5, "top_k": 40})
        self.assertEqual(message.stop_reason, "end_turn")

    def test_length_and_stop(self):
        message = self.create(max_tokens=3)
        self.assertEqual((message.stop_reason, message.usage.output_tokens), ("max_tokens", 3))
        message = self.create(stop_sequences=["simulated"])
        self.assertEqual((message.stop_reason, message.stop_sequence), ("stop_sequence", "simulated"))

    def test_stream(self):
        with self.client.messages.stream(model=MODEL, max_tokens=2000, messages=HELLO) as stream:
            pieces = list(stream.text_stream)
            message = stream.get_final_message()
        self.assertGreater(len(pieces), 3)
        self.assertEqual("".join(pieces), message.content[0].text)
        self.assertEqual(message.stop_reason, "end_turn")
        whole = self.create()
        self.assertEqual(message.usage.output_tokens, whole.usage.output_tokens)
        self.assertEqual(message.usage.input_tokens, whole.usage.input_tokens)

    def test_raw_stream(self):
        kinds = [event.type for event in self.create(stream=True)]
        self.assertEqual(kinds[:2], ["message_start", "content_block_start"])
        self.assertEqual(kinds[-3:], ["content_block_stop", "message_delta", "message_stop"])

    def test_async_stream(self):
        async def run():
            async with AsyncAnthropic(base_url=BASE_URL, api_key=API_KEY, max_retries=0) as client:
                async with client.messages.stream(model=MODEL, max_tokens=99, messages=HELLO) as stream:
                    return await stream.get_final_text()

        self.assertTrue(asyncio.run(run()))

    def test_tools(self):
        ask = [{"role": "user", "content": "Call get_weather and get_time."}]
        message = self.create(messages=ask, tools=[WEATHER, TIME])
        self.assertEqual(message.stop_reason, "tool_use")
        self.assertEqual([block.name for block in message.content], ["get_weather", "get_time"])
        self.assertEqual(message.content[0].input, {"city": "Paris", "days": 7})
        results = [
            {"type": "tool_result", "tool_use_id": block.id, "content": f"{block.name} is fine"}
            for block in message.content
        ]
        talk = [*ask, {"role": "assistant", "content": message.content}, {"role": "user", "content": results}]
        answer = self.create(messages=talk, tools=[WEATHER, TIME])
        self.assertIn("get_time is fine", answer.content[0].text)
        self.assertEqual(answer.stop_reason, "end_turn")

    def test_tool_choice(self):
        one = self.create(tools=[WEATHER, TIME], tool_choice={"type": "tool", "name": "get_time"})
        self.assertEqual([block.name for block in one.content], ["get_time"])
        none = self.create(tools=[WEATHER], tool_choice={"type": "none"})
        self.assertEqual(none.content[0].type, "text")
        ask = [{"role": "user", "content": "Call get_weather and get_time."}]
        alone = {"type": "any", "disable_parallel_tool_use": True}
        self.assertEqual(len(self.create(messages=ask, tools=[WEATHER, TIME], tool_choice=alone).content), 1)

    def test_streamed_tools(self):
        with self.client.messages.stream(model=MODEL, max_tokens=99, messages=HELLO, tools=[WEATHER]) as stream:
            pieces = [event.partial_json for event in stream if event.type == "input_json"]
            message = stream.get_final_message()
        self.assertEqual(json.loads("".join(pieces)), {"city": "Paris", "days": 7})
        self.assertEqual(message.content[0].input, {"city": "Paris", "days": 7})
        self.assertEqual(message.stop_reason, "tool_use")

    def test_thinking(self):
        thinking = {"type": "enabled", "budget_tokens": 1024}
        message = self.create(thinking=thinking)
        self.assertEqual([block.type for block in message.content], ["thinking", "text"])
        self.assertTrue(message.content[0].signature)
        self.assertGreater(message.usage.output_tokens_details.thinking_tokens, 0)
        with self.client.messages.stream(
            model=MODEL, max_tokens=2000, messages=HELLO, thinking=thinking
        ) as stream:
            streamed = stream.get_final_message()
        self.assertEqual(streamed.content[0].thinking, message.content[0].thinking)
        self.assertTrue(streamed.content[0].signature)

    def test_image(self):
        source = {"type": "base64", "media_type": "image/png", "data": PNG}
        content = [{"type": "image", "source": source}, {"type": "text", "text": "What is it?"}]
        message = self.create(messages=[{"role": "user", "content": content}])
        self.assertTrue(message.content[0].text.startswith("I see 1 image."))

    def test_structured_output(self):
        message = self.client.messages.parse(
            model=MODEL, max_tokens=99, messages=HELLO, output_format=Place
        )
        self.assertEqual(message.parsed_output, Place(city="Paris", population=7))

    def test_count_tokens(self):
        options = {"model": MODEL, "messages": HELLO, "tools": [WEATHER], "system": "Be brief."}
        counted = self.client.messages.count_tokens(**options)
        self.assertEqual(counted.input_tokens, self.create(**options).usage.input_tokens)

    def test_models(self):
        ids = [model.id for model in self.client.models.list(limit=2)]
        self.assertGreater(len(ids), 2, "the pages are followed")
        self.assertEqual(len(ids), len(set(ids)))
        self.assertEqual(self.client.models.retrieve(MODEL).id, MODEL)


class Errors(unittest.TestCase):
    def test_every_class(self):
        with client() as one:
            for error, status, model, kind in ERRORS:
                with self.subTest(model=model), self.assertRaises(error) as caught:
                    one.messages.create(model=model, max_tokens=9, messages=HELLO)
                self.assertEqual(caught.exception.status_code, status)
                self.assertEqual(caught.exception.body["error"]["type"], kind)
                self.assertTrue(caught.exception.request_id.startswith("req_"))

    def test_wrong_key(self):
        with client("sk-wrong") as one, self.assertRaises(anthropic.AuthenticationError) as caught:
            one.messages.create(model=MODEL, max_tokens=9, messages=HELLO)
        self.assertIn("invalid x-api-key", str(caught.exception))

    def test_validation(self):
        with client() as one, self.assertRaises(anthropic.BadRequestError) as caught:
            one.messages.create(model=MODEL, max_tokens=9, messages=[])
        self.assertIn("messages: at least one message is required", str(caught.exception))

    def test_limit(self):
        with client(TIGHT_KEY) as one:
            raw = one.messages.with_raw_response.create(model=MODEL, max_tokens=9, messages=HELLO)
            self.assertEqual(raw.headers["anthropic-ratelimit-requests-limit"], "1")
            self.assertEqual(raw.headers["anthropic-ratelimit-requests-remaining"], "0")
            with self.assertRaises(anthropic.RateLimitError) as caught:
                one.messages.create(model=MODEL, max_tokens=9, messages=HELLO)
        self.assertGreater(int(caught.exception.response.headers["retry-after"]), 0)

    def test_error_in_a_stream(self):
        with client() as one, self.assertRaises(anthropic.APIStatusError) as caught:
            list(one.messages.create(model="sim-stream-error", max_tokens=99, messages=HELLO, stream=True))
        self.assertIn("overloaded_error", str(caught.exception.body))

    def test_faults(self):
        with client() as one:
            with self.assertRaises(anthropic.APIConnectionError):
                one.messages.create(model="sim-cut", max_tokens=9, messages=HELLO)
            split = one.messages.create(model="sim-split", max_tokens=9, messages=HELLO)
            self.assertTrue(split.content[0].text)


if __name__ == "__main__":
    unittest.main()
