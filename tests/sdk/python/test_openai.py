"""The official OpenAI client for Python, unmodified, through a running gateway.

Started by tests/sdk.rs, which sets BASE_URL, API_KEY and LIMITED_KEY (a client that may not use `openai`).
Behind the gateway is the provider simulator: a model's name ending in `sim-NAME` chooses a fault.
"""

import asyncio
import json
import os
import time
import unittest
import urllib.request
from typing import List, Optional

import openai
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

BASE_URL = os.environ["BASE_URL"]
API_KEY = os.environ["API_KEY"]
LIMITED_KEY = os.environ["LIMITED_KEY"]
CHAT = "openai:gpt-4o-mini"
EMBED = "openai:text-embedding-3-small"
HELLO = [{"role": "user", "content": "Say hello."}]
# A red dot.
PNG = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4//8/w38GIAXDIBKE0DHx"
    "gljNBAAO9TXL0Y4OHwAAAABJRU5ErkJggg=="
)
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather at a place.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}
TIME = {
    "type": "function",
    "function": {
        "name": "get_time",
        "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]},
    },
}

# Each class of error with a request that causes it: (exception, status, model, code or None for any).
ERRORS = [
    (openai.BadRequestError, 400, "openai:sim-error-400", None),
    (openai.BadRequestError, 400, "openai:sim-error-context", "context_length_exceeded"),
    (openai.PermissionDeniedError, 403, "openai:sim-error-403", None),
    (openai.NotFoundError, 404, "openai:sim-error-404", None),
    (openai.NotFoundError, 404, "no-provider-serves-this", "model_not_found"),
    (openai.ConflictError, 409, "openai:sim-error-409", None),
    (openai.UnprocessableEntityError, 422, "openai:sim-error-422", None),
    (openai.RateLimitError, 429, "openai:sim-error-429", "rate_limit_exceeded"),
    (openai.RateLimitError, 429, "openai:sim-error-quota", "insufficient_quota"),
    (openai.InternalServerError, 500, "openai:sim-error-500", None),
    (openai.InternalServerError, 503, "openai:sim-error-503", None),
    # The gateway's own key was refused: not the client's fault, so not an AuthenticationError.
    (openai.InternalServerError, 502, "openai:sim-error-401", "upstream_auth_rejected"),
    (openai.InternalServerError, 502, "openai:sim-cut", "upstream_incomplete_response"),
    (openai.InternalServerError, 502, "openai:sim-garbage", "upstream_invalid_response"),
]


class Place(BaseModel):
    city: str
    population: int
    capital: bool


class Trip(BaseModel):
    title: str
    places: List[Place]
    note: Optional[str]


def client(**options):
    return OpenAI(base_url=BASE_URL, api_key=API_KEY, timeout=20, **options)


def async_client(**options):
    return AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY, timeout=20, **options)


def answered(status):
    """How many requests the gateway has answered with `status`."""
    text = urllib.request.urlopen(BASE_URL.removesuffix("/v1") + "/metrics").read().decode()
    return sum(
        int(float(line.rsplit(" ", 1)[1]))
        for line in text.splitlines()
        if line.startswith("coo_llm_requests_total{") and f'status="{status}"' in line
    )


class Chat(unittest.TestCase):
    def setUp(self):
        self.client = client(max_retries=0)
        self.addCleanup(self.client.close)

    def test_plain(self):
        answer = self.client.chat.completions.create(
            model=CHAT, messages=HELLO, temperature=0, seed=7, user="u-1", metadata={"run": "sdk"}
        )
        self.assertEqual(answer.object, "chat.completion")
        self.assertEqual(answer.choices[0].message.role, "assistant")
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertTrue(answer.choices[0].message.content)
        usage = answer.usage
        self.assertGreater(usage.prompt_tokens, 0)
        self.assertEqual(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)
        self.assertEqual(usage.prompt_tokens_details.cached_tokens, 0, "zeros are kept")

    def test_names(self):
        for model in ["fast", "gpt-4o-mini", CHAT]:
            answer = self.client.chat.completions.create(model=model, messages=HELLO)
            self.assertEqual(answer.model, "gpt-4o-mini")

    def test_limits_and_choices(self):
        answer = self.client.chat.completions.create(
            model=CHAT, messages=HELLO, n=2, max_completion_tokens=3, logprobs=True
        )
        self.assertEqual([choice.finish_reason for choice in answer.choices], ["length", "length"])
        self.assertEqual(answer.usage.completion_tokens, 6)
        self.assertEqual(len(answer.choices[0].logprobs.content), 3)

    def test_vision(self):
        parts = [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
        ]
        answer = self.client.chat.completions.create(model=CHAT, messages=[{"role": "user", "content": parts}])
        self.assertIn("I see 2 images", answer.choices[0].message.content)

    def test_unicode(self):
        answer = self.client.chat.completions.create(
            model="openai:sim-echo", messages=[{"role": "user", "content": "Grüße, 世界! 🦀 \u2028 \\ \" \t"}]
        )
        self.assertIn("Grüße, 世界! 🦀 \u2028 \\ \" \t", answer.choices[0].message.content)

    def test_raw_response(self):
        raw = self.client.chat.completions.with_raw_response.create(model=CHAT, messages=HELLO)
        self.assertEqual(raw.status_code, 200)
        self.assertEqual(raw.headers["content-type"].split(";")[0], "application/json")
        self.assertTrue(raw.headers["x-request-id"], "the provider's request id is passed on")
        self.assertEqual(raw.parse().choices[0].finish_reason, "stop")
        self.assertNotIn("openai-organization", raw.headers)
        with self.client.chat.completions.with_streaming_response.create(model=CHAT, messages=HELLO) as streamed:
            self.assertEqual(json.loads(streamed.read())["object"], "chat.completion")


class Streams(unittest.TestCase):
    def setUp(self):
        self.client = client(max_retries=0)
        self.addCleanup(self.client.close)

    def test_usage_is_hidden_unless_asked_for(self):
        chunks = list(self.client.chat.completions.create(model=CHAT, messages=HELLO, stream=True))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        self.assertTrue(text)
        self.assertTrue(all(chunk.choices and chunk.usage is None for chunk in chunks))
        self.assertEqual(chunks[-1].choices[0].finish_reason, "stop")
        whole = self.client.chat.completions.create(model=CHAT, messages=HELLO)
        self.assertEqual(text, whole.choices[0].message.content)

    def test_usage_is_given_when_asked_for(self):
        chunks = list(
            self.client.chat.completions.create(
                model=CHAT, messages=HELLO, stream=True, stream_options={"include_usage": True}
            )
        )
        self.assertEqual(chunks[-1].choices, [])
        self.assertGreater(chunks[-1].usage.completion_tokens, 0)
        self.assertEqual(chunks[-1].usage.completion_tokens_details.reasoning_tokens, 0)
        self.assertTrue(all(chunk.usage is None for chunk in chunks[:-1]))

    def test_pieces_arrive_as_they_are_made(self):
        stream = self.client.chat.completions.create(model="openai:sim-slow", messages=HELLO, stream=True)
        times = [time.monotonic() for _ in stream]
        self.assertGreater(times[-1] - times[0], 0.2, "not all at once")

    def test_helper(self):
        with self.client.chat.completions.stream(
            model=CHAT, messages=HELLO, stream_options={"include_usage": True}
        ) as stream:
            kinds = [event.type for event in stream]
            final = stream.get_final_completion()
        self.assertIn("content.delta", kinds)
        self.assertIn("content.done", kinds)
        self.assertTrue(final.choices[0].message.content)
        self.assertGreater(final.usage.total_tokens, 0)

    def test_shapes_of_streams(self):
        for fault in ["split", "burst", "comments", "no-done", "no-blank", "close-delimited"]:
            with self.subTest(fault):
                chunks = list(
                    self.client.chat.completions.create(model=f"openai:sim-{fault}", messages=HELLO, stream=True)
                )
                self.assertTrue("".join(c.choices[0].delta.content or "" for c in chunks if c.choices))
                self.assertEqual(chunks[-1].choices[0].finish_reason, "stop")

    def test_a_cut_stream_is_an_error(self):
        for fault in ["cut", "reset", "stream-error"]:
            with self.subTest(fault):
                seen = []
                with self.assertRaises(openai.APIError) as caught:
                    for chunk in self.client.chat.completions.create(
                        model=f"openai:sim-{fault}", messages=HELLO, stream=True
                    ):
                        seen.append(chunk)
                self.assertTrue(seen, "what came before the cut arrived")
                self.assertNotIsInstance(caught.exception, openai.APIConnectionError)
                self.assertTrue(caught.exception.message)

    def test_leaving_early_is_harmless(self):
        for _ in range(3):
            with self.client.chat.completions.create(model="openai:sim-slow", messages=HELLO, stream=True) as stream:
                next(iter(stream))
        self.assertTrue(self.client.chat.completions.create(model=CHAT, messages=HELLO).choices)


class Tools(unittest.TestCase):
    def setUp(self):
        self.client = client(max_retries=0)
        self.addCleanup(self.client.close)

    def test_round_trip(self):
        messages = [{"role": "user", "content": "Use get_weather for Hanoi."}]
        asked = self.client.chat.completions.create(model=CHAT, messages=messages, tools=[TIME, WEATHER])
        self.assertEqual(asked.choices[0].finish_reason, "tool_calls")
        (call,) = asked.choices[0].message.tool_calls
        self.assertEqual((call.type, call.function.name), ("function", "get_weather"))
        self.assertEqual(set(json.loads(call.function.arguments)), {"city", "days"})
        messages.append(asked.choices[0].message)
        messages.append({"role": "tool", "tool_call_id": call.id, "content": "31 degrees"})
        answer = self.client.chat.completions.create(model=CHAT, messages=messages, tools=[TIME, WEATHER])
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertIn("31 degrees", answer.choices[0].message.content)

    def test_choice(self):
        def ask(choice):
            answer = self.client.chat.completions.create(
                model=CHAT, messages=HELLO, tools=[WEATHER, TIME], tool_choice=choice
            )
            return [call.function.name for call in answer.choices[0].message.tool_calls or []]

        self.assertEqual(ask("none"), [])
        self.assertEqual(ask({"type": "function", "function": {"name": "get_time"}}), ["get_time"])

    def test_streamed_calls_accumulate_to_json(self):
        calls = {}
        stream = self.client.chat.completions.create(
            model=CHAT,
            messages=[{"role": "user", "content": "Use get_weather and get_time."}],
            tools=[WEATHER, TIME],
            stream=True,
        )
        pieces = 0
        for chunk in stream:
            for piece in chunk.choices[0].delta.tool_calls or []:
                call = calls.setdefault(piece.index, {"name": "", "arguments": ""})
                call["name"] += piece.function.name or ""
                call["arguments"] += piece.function.arguments or ""
                pieces += 1
        self.assertEqual(chunk.choices[0].finish_reason, "tool_calls")
        self.assertEqual([calls[i]["name"] for i in sorted(calls)], ["get_weather", "get_time"])
        self.assertEqual(set(json.loads(calls[0]["arguments"])), {"city", "days"})
        self.assertEqual(set(json.loads(calls[1]["arguments"])), {"zone"})
        self.assertGreater(pieces, 4, "arguments came in pieces")

    def test_helper(self):
        with self.client.chat.completions.stream(
            model=CHAT, messages=[{"role": "user", "content": "get_weather"}], tools=[WEATHER]
        ) as stream:
            final = stream.get_final_completion()
        (call,) = final.choices[0].message.tool_calls
        self.assertEqual(set(call.function.parsed_arguments), {"city", "days"})


class StructuredOutput(unittest.TestCase):
    def setUp(self):
        self.client = client(max_retries=0)
        self.addCleanup(self.client.close)

    def test_parse(self):
        answer = self.client.chat.completions.parse(model=CHAT, messages=HELLO, response_format=Trip)
        trip = answer.choices[0].message.parsed
        self.assertIsInstance(trip, Trip)
        self.assertIsInstance(trip.places[0], Place)

    def test_json_schema(self):
        schema = {"type": "object", "properties": {"kind": {"enum": ["a", "b"]}}, "required": ["kind"]}
        answer = self.client.chat.completions.create(
            model=CHAT,
            messages=HELLO,
            response_format={"type": "json_schema", "json_schema": {"name": "kind", "strict": True, "schema": schema}},
        )
        self.assertEqual(json.loads(answer.choices[0].message.content), {"kind": "a"})

    def test_json_object(self):
        answer = self.client.chat.completions.create(
            model=CHAT, messages=HELLO, response_format={"type": "json_object"}
        )
        self.assertIsInstance(json.loads(answer.choices[0].message.content), dict)

    def test_streamed(self):
        with self.client.chat.completions.stream(model=CHAT, messages=HELLO, response_format=Trip) as stream:
            final = stream.get_final_completion()
        self.assertIsInstance(final.choices[0].message.parsed, Trip)


class Embeddings(unittest.TestCase):
    def setUp(self):
        self.client = client(max_retries=0)
        self.addCleanup(self.client.close)

    def test_base64_and_float_agree(self):
        # Without a format the SDK asks for base64 and decodes it.
        packed = self.client.embeddings.create(model=EMBED, input=["one", "two"])
        plain = self.client.embeddings.create(model=EMBED, input=["one", "two"], encoding_format="float")
        self.assertEqual([item.index for item in packed.data], [0, 1])
        self.assertEqual(len(packed.data[0].embedding), 1536)
        self.assertNotEqual(packed.data[0].embedding, packed.data[1].embedding)
        for a, b in zip(packed.data, plain.data):
            self.assertLess(max(abs(x - y) for x, y in zip(a.embedding, b.embedding)), 1e-6)
        self.assertGreater(packed.usage.prompt_tokens, 0)

    def test_dimensions_and_tokens(self):
        answer = self.client.embeddings.create(model=EMBED, input=[[1, 2, 3], [4]], dimensions=64)
        self.assertEqual([len(item.embedding) for item in answer.data], [64, 64])


class Audio(unittest.TestCase):
    """Forms: the file arrives as it is, and the model under the provider's name."""

    SOUND = ("speech.wav", bytes(range(256)) * 400, "audio/wav")
    HEARD = "I hear 102400 bytes of speech.wav."

    @classmethod
    def setUpClass(cls):
        cls.audio = client(max_retries=0).audio

    def test_transcriptions(self):
        heard = self.audio.transcriptions.create(model="openai:gpt-4o-transcribe", file=self.SOUND, language="en")
        self.assertTrue(heard.text.startswith(self.HEARD), heard)
        self.assertEqual((heard.usage.type, heard.usage.input_tokens), ("tokens", 103))
        heard = self.audio.transcriptions.create(
            model="openai:whisper-1", file=self.SOUND, response_format="verbose_json",
            timestamp_granularities=["word", "segment"],
        )
        self.assertTrue(heard.text.startswith(self.HEARD), heard)
        self.assertEqual((heard.usage.type, heard.usage.seconds), ("duration", 11))
        text = self.audio.transcriptions.create(model="openai:whisper-1", file=self.SOUND, response_format="text")
        self.assertTrue(text.startswith(self.HEARD), text)

    def test_translations(self):
        heard = self.audio.translations.create(model="openai:whisper-1", file=self.SOUND)
        self.assertTrue(heard.text.startswith(self.HEARD), heard)

    def test_streamed(self):
        stream = self.audio.transcriptions.create(model="openai:gpt-4o-mini-transcribe", file=self.SOUND, stream=True)
        events = list(stream)
        self.assertGreater(len(events), 3)
        self.assertEqual({event.type for event in events[:-1]}, {"transcript.text.delta"})
        done = events[-1]
        self.assertEqual(done.type, "transcript.text.done")
        self.assertEqual("".join(event.delta for event in events[:-1]), done.text)
        self.assertTrue(done.text.startswith(self.HEARD), done)
        self.assertEqual(done.usage.input_tokens, 103)

    def test_errors(self):
        for model, error in [
            ("openai:sim-error-429", openai.RateLimitError),
            ("openai:no-such-model", openai.NotFoundError),
            ("nobody:whisper-1", openai.NotFoundError),
            ("", openai.BadRequestError),
        ]:
            with self.assertRaises(error, msg=model):
                self.audio.transcriptions.create(model=model, file=self.SOUND)
        with self.assertRaises(openai.APIError):
            list(self.audio.transcriptions.create(model="openai:sim-stream-error", file=self.SOUND, stream=True))


class Models(unittest.TestCase):
    def test_list_and_retrieve(self):
        with client(max_retries=0) as api:
            ids = [model.id for model in api.models.list()]
            self.assertIn(CHAT, ids)
            self.assertIn("fast", ids)
            for name in ids:
                self.assertEqual(api.models.retrieve(name).id, name)
            with self.assertRaises(openai.NotFoundError):
                api.models.retrieve("nothing")


class Errors(unittest.TestCase):
    def setUp(self):
        self.client = client(max_retries=0)
        self.addCleanup(self.client.close)

    def ask(self, model=CHAT, api=None, **more):
        return (api or self.client).chat.completions.create(model=model, messages=HELLO, **more)

    def test_each_class(self):
        for exception, status, model, code in ERRORS:
            for stream in [False, True]:
                if stream and model == "openai:sim-cut":
                    continue  # after a stream's head: see Streams
                with self.subTest(model=model, stream=stream):
                    with self.assertRaises(exception) as caught:
                        list(self.ask(model, stream=stream))
                    self.assertIs(type(caught.exception), exception)
                    self.assertEqual(caught.exception.status_code, status)
                    self.assertTrue(caught.exception.body["message"])
                    self.assertIn("type", caught.exception.body)
                    if code:
                        self.assertEqual(caught.exception.code, code)

    def test_a_wrong_key(self):
        for key in ["sk-wrong", API_KEY + "x"]:
            with self.assertRaises(openai.AuthenticationError) as caught:
                self.ask(api=self.client.with_options(api_key=key))
            self.assertEqual((caught.exception.status_code, caught.exception.code), (401, "invalid_api_key"))
            self.assertNotIn(key, str(caught.exception))

    def test_a_provider_that_is_not_allowed(self):
        with self.assertRaises(openai.PermissionDeniedError) as caught:
            self.ask(api=self.client.with_options(api_key=LIMITED_KEY))
        self.assertEqual(caught.exception.code, "provider_not_allowed")

    def test_bad_requests(self):
        for more, code in [
            ({"stream": "yes"}, "invalid_type"),
            ({"messages": []}, "empty_array"),
            ({"model": 5}, "invalid_type"),
        ]:
            with self.subTest(more), self.assertRaises(openai.BadRequestError) as caught:
                self.ask(extra_body=more)
            self.assertEqual(caught.exception.code, code)

    def test_a_path_that_is_not_there(self):
        with self.assertRaises(openai.NotFoundError) as caught:
            self.client.files.list()
        self.assertEqual(caught.exception.code, "unknown_url")

    def test_a_real_rate_limit(self):
        # The simulator allows this key one request a minute.
        with self.assertRaises(openai.RateLimitError) as caught:
            for _ in range(2):
                self.ask("tight:gpt-4o-mini")
        headers = caught.exception.response.headers
        self.assertGreater(float(headers["retry-after"]), 0)
        # What is left of the gateway's key is nobody's business.
        self.assertNotIn("x-ratelimit-limit-requests", headers)

    def test_a_limit_of_the_gateway(self):
        api = self.client.with_options(api_key="sk-two-a-minute")
        with self.assertRaises(openai.RateLimitError) as caught:
            for _ in range(3):
                self.ask("openai:gpt-4o-mini", api=api)
        headers = caught.exception.response.headers
        self.assertGreater(float(headers["retry-after"]), 0)
        self.assertEqual(headers["x-ratelimit-limit-requests"], "2")
        self.assertEqual(headers["x-ratelimit-remaining-requests"], "0")
        self.assertEqual(caught.exception.code, "rate_limit_exceeded")

    def test_time_outs(self):
        with self.assertRaises(openai.APITimeoutError):
            self.ask("openai:sim-stall", timeout=0.3)
        # The gateway's own patience with that provider ends after a second.
        with self.assertRaises(openai.InternalServerError) as caught:
            self.ask("openai:sim-stall")
        self.assertEqual((caught.exception.status_code, caught.exception.code), (504, "upstream_timeout"))

    def test_retries_are_the_clients(self):
        for retries in [0, 1]:
            before = answered(500)
            with self.assertRaises(openai.InternalServerError):
                self.ask("openai:sim-error-500", api=self.client.with_options(max_retries=retries))
            self.assertEqual(answered(500) - before, 1 + retries)


class Async(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.client = async_client(max_retries=0)
        self.addAsyncCleanup(self.client.close)

    async def test_many_at_once(self):
        async def one(n):
            words = f"number {n}"
            if n % 2:
                answer = await self.client.chat.completions.create(
                    model="openai:sim-echo", messages=[{"role": "user", "content": words}]
                )
                return words in answer.choices[0].message.content
            stream = await self.client.chat.completions.create(
                model="openai:sim-echo", messages=[{"role": "user", "content": words}], stream=True
            )
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
            return words in text

        self.assertTrue(all(await asyncio.gather(*(one(n) for n in range(100)))))

    async def test_stream_helper_and_usage(self):
        async with self.client.chat.completions.stream(
            model=CHAT, messages=HELLO, stream_options={"include_usage": True}
        ) as stream:
            kinds = [event.type async for event in stream]
            final = await stream.get_final_completion()
        self.assertIn("content.delta", kinds)
        self.assertGreater(final.usage.completion_tokens, 0)

    async def test_tools_parse_embeddings_models(self):
        asked = await self.client.chat.completions.create(model=CHAT, messages=HELLO, tools=[WEATHER])
        self.assertEqual(asked.choices[0].message.tool_calls[0].function.name, "get_weather")
        parsed = await self.client.chat.completions.parse(model=CHAT, messages=HELLO, response_format=Place)
        self.assertIsInstance(parsed.choices[0].message.parsed, Place)
        vectors = await self.client.embeddings.create(model=EMBED, input="one")
        self.assertEqual(len(vectors.data[0].embedding), 1536)
        self.assertIn(CHAT, [model.id async for model in self.client.models.list()])

    async def test_each_class_of_error(self):
        for exception, status, model, _ in ERRORS:
            with self.subTest(model), self.assertRaises(exception) as caught:
                await self.client.chat.completions.create(model=model, messages=HELLO)
            self.assertEqual(caught.exception.status_code, status)
        with self.assertRaises(openai.AuthenticationError):
            await self.client.with_options(api_key="sk-wrong").models.list()
        with self.assertRaises(openai.APITimeoutError):
            await self.client.with_options(timeout=0.3).chat.completions.create(
                model="openai:sim-stall", messages=HELLO
            )


if __name__ == "__main__":
    unittest.main()
