"""The official Google Gen AI client for Python, unmodified, against the provider simulator.

Started by tests/sdk_providers.rs, which sets BASE_URL, API_KEY and TIGHT_KEY (one request a minute). A model's name
ending in `sim-NAME` chooses a fault.
"""

import asyncio
import base64
import json
import os
import unittest
import urllib.request

import httpx2
from google import genai
from google.genai import errors, types
from pydantic import BaseModel

BASE_URL = os.environ["BASE_URL"]
API_KEY = os.environ["API_KEY"]
TIGHT_KEY = os.environ["TIGHT_KEY"]
MODEL = "gemini-2.5-flash"
# A red dot.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4//8/w38GIAXDIBKE0DHx"
    "gljNBAAO9TXL0Y4OHwAAAABJRU5ErkJggg=="
)
WEATHER = types.FunctionDeclaration(
    name="get_weather",
    description="The weather at a place.",
    parameters=types.Schema(
        type=types.Type.OBJECT,
        properties={"city": types.Schema(type=types.Type.STRING), "days": types.Schema(type=types.Type.INTEGER)},
        required=["city", "days"],
    ),
)
TIME = types.FunctionDeclaration(
    name="get_time",
    parameters_json_schema={"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]},
)
# Each error with a model that causes it: (exception, code, model, status).
ERRORS = [
    (errors.ClientError, 400, "sim-error-400", "INVALID_ARGUMENT"),
    (errors.ClientError, 400, "sim-error-context", "INVALID_ARGUMENT"),
    (errors.ClientError, 401, "sim-error-401", "UNAUTHENTICATED"),
    (errors.ClientError, 403, "sim-error-403", "PERMISSION_DENIED"),
    (errors.ClientError, 404, "no-such-model", "NOT_FOUND"),
    (errors.ClientError, 429, "sim-error-429", "RESOURCE_EXHAUSTED"),
    (errors.ServerError, 500, "sim-error-500", "INTERNAL"),
    (errors.ServerError, 503, "sim-error-503", "UNAVAILABLE"),
    (errors.ServerError, 529, "sim-error-529", "UNKNOWN"),
]


class Place(BaseModel):
    city: str
    population: int


def client(api_key=API_KEY):
    options = types.HttpOptions(base_url=BASE_URL, timeout=20_000)
    return genai.Client(api_key=api_key, http_options=options, vertexai=False)


class Generate(unittest.TestCase):
    def setUp(self):
        self.client = client()

    def generate(self, contents="Say hello.", model=MODEL, **config):
        return self.client.models.generate_content(
            model=model, contents=contents, config=types.GenerateContentConfig(**config)
        )

    def stream(self, contents="Say hello.", model=MODEL, **config):
        return list(
            self.client.models.generate_content_stream(
                model=model, contents=contents, config=types.GenerateContentConfig(**config)
            )
        )

    def test_plain(self):
        answer = self.generate(system_instruction="Be brief.", temperature=0.5, top_k=40, seed=7)
        self.assertTrue(answer.text)
        self.assertEqual(answer.candidates[0].finish_reason, types.FinishReason.STOP)
        self.assertEqual(answer.model_version, MODEL)
        usage = answer.usage_metadata
        self.assertGreater(usage.prompt_token_count, 0)
        self.assertEqual(usage.total_token_count, usage.prompt_token_count + usage.candidates_token_count)

    def test_length_stop_and_candidates(self):
        answer = self.generate(max_output_tokens=3)
        self.assertEqual(answer.candidates[0].finish_reason, types.FinishReason.MAX_TOKENS)
        self.assertEqual(answer.usage_metadata.candidates_token_count, 3)
        self.assertNotIn("simulated", self.generate(stop_sequences=["simulated"]).text)
        self.assertEqual(len(self.generate(candidate_count=2).candidates), 2)

    def test_stream(self):
        chunks = self.stream()
        self.assertGreater(len(chunks), 3)
        self.assertEqual("".join(chunk.text for chunk in chunks), self.generate().text)
        self.assertEqual(chunks[-1].candidates[0].finish_reason, types.FinishReason.STOP)
        self.assertEqual(
            chunks[-1].usage_metadata.total_token_count, self.generate().usage_metadata.total_token_count
        )

    def test_async_stream(self):
        async def run():
            pieces = []
            async for chunk in await self.client.aio.models.generate_content_stream(model=MODEL, contents="hi"):
                pieces.append(chunk.text)
            return pieces

        self.assertGreater(len(asyncio.run(run())), 3)

    def test_the_beta_version(self):
        options = types.HttpOptions(api_version="v1beta")
        self.assertTrue(self.generate(http_options=options).text)

    def test_array_stream(self):
        body = json.dumps({"contents": [{"parts": [{"text": "hi"}]}]}).encode()
        url = f"{BASE_URL}/v1beta/models/{MODEL}:streamGenerateContent?key={API_KEY}"
        request = urllib.request.Request(url, body, {"content-type": "application/json"})
        chunks = json.load(urllib.request.urlopen(request))
        self.assertEqual(chunks[-1]["candidates"][0]["finishReason"], "STOP")

    def test_tools(self):
        tools = [types.Tool(function_declarations=[WEATHER, TIME])]
        ask = types.Content(role="user", parts=[types.Part(text="Call get_weather and get_time.")])
        answer = self.generate([ask], tools=tools)
        self.assertEqual([call.name for call in answer.function_calls], ["get_weather", "get_time"])
        self.assertEqual(answer.function_calls[0].args, {"city": "Paris", "days": 7})
        results = [
            types.Part.from_function_response(name=call.name, response={"result": f"{call.name} is fine"})
            for call in answer.function_calls
        ]
        talk = [ask, answer.candidates[0].content, types.Content(role="user", parts=results)]
        self.assertIn("get_time is fine", self.generate(talk, tools=tools).text)

    def test_tool_modes(self):
        tools = [types.Tool(function_declarations=[WEATHER, TIME])]

        def mode(**options):
            calling = types.FunctionCallingConfig(**options)
            return self.generate(tools=tools, tool_config=types.ToolConfig(function_calling_config=calling))

        one = mode(mode="ANY", allowed_function_names=["get_time"])
        self.assertEqual([call.name for call in one.function_calls], ["get_time"])
        self.assertTrue(mode(mode="NONE").text)

    def test_streamed_tools(self):
        chunks = self.stream(tools=[types.Tool(function_declarations=[WEATHER])])
        calls = [call for chunk in chunks for call in chunk.function_calls or []]
        self.assertEqual([(call.name, call.args) for call in calls], [("get_weather", {"city": "Paris", "days": 7})])
        self.assertEqual(chunks[-1].candidates[0].finish_reason, types.FinishReason.STOP)

    def test_functions_are_called_by_the_sdk(self):
        asked = []

        def get_weather(city: str) -> str:
            """The weather at a place."""
            asked.append(city)
            return "rain"

        self.assertTrue(self.generate(tools=[get_weather]).text.startswith("The tool said: rain."))
        self.assertEqual(asked, ["Paris"])

    def test_chat(self):
        chat = self.client.chats.create(model=MODEL)
        self.assertTrue(chat.send_message("one").text)
        self.assertTrue(chat.send_message("two").text)
        self.assertEqual(len(chat.get_history()), 4)

    def test_image(self):
        image = types.Part.from_bytes(data=PNG, mime_type="image/png")
        self.assertTrue(self.generate([image, "What is it?"]).text.startswith("I see 1 image."))

    def test_json(self):
        answer = self.generate(response_mime_type="application/json", response_schema=Place)
        self.assertEqual(answer.parsed, Place(city="Paris", population=7))
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
        answer = self.generate(response_mime_type="application/json", response_json_schema=schema)
        self.assertEqual(json.loads(answer.text), {"n": 7})
        pieces = self.stream(response_mime_type="application/json", response_schema=list[Place])
        self.assertEqual(json.loads("".join(chunk.text for chunk in pieces)), [{"city": "Paris", "population": 7}])

    def test_thinking(self):
        config = types.ThinkingConfig(include_thoughts=True, thinking_budget=1024)
        answer = self.generate(thinking_config=config)
        self.assertTrue(answer.candidates[0].content.parts[0].thought)
        self.assertGreater(answer.usage_metadata.thoughts_token_count, 0)
        parts = [chunk.candidates[0].content.parts[0] for chunk in self.stream(thinking_config=config)]
        self.assertTrue(parts[0].thought and not parts[-1].thought)

    def test_count_tokens(self):
        counted = self.client.models.count_tokens(model=MODEL, contents="Say hello.")
        self.assertEqual(counted.total_tokens, self.generate().usage_metadata.prompt_token_count)

    def test_embeddings(self):
        answer = self.client.models.embed_content(
            model="gemini-embedding-001",
            contents=["one", "two"],
            config=types.EmbedContentConfig(output_dimensionality=16, task_type="RETRIEVAL_QUERY"),
        )
        self.assertEqual([len(one.values) for one in answer.embeddings], [16, 16])

    def test_models(self):
        names = [model.name for model in self.client.models.list(config={"page_size": 2})]
        self.assertIn(f"models/{MODEL}", names)
        self.assertGreater(len(names), 2, "the pages are followed")
        self.assertIn("generateContent", self.client.models.get(model=MODEL).supported_actions)


class Errors(unittest.TestCase):
    def test_every_status(self):
        one = client()
        for error, code, model, status in ERRORS:
            for call in (one.models.generate_content, one.models.generate_content_stream):
                with self.subTest(model=model, call=call.__name__), self.assertRaises(error) as caught:
                    list(call(model=model, contents="hi"))
                self.assertEqual((caught.exception.code, caught.exception.status), (code, status))

    def test_wrong_key(self):
        one = client("wrong")
        with self.assertRaises(errors.ClientError) as caught:
            one.models.generate_content(model=MODEL, contents="hi")
        self.assertEqual(caught.exception.code, 400)
        self.assertIn("API key not valid", caught.exception.message)

    def test_limit(self):
        one = client(TIGHT_KEY)
        self.assertTrue(one.models.generate_content(model=MODEL, contents="hi").text)
        with self.assertRaises(errors.ClientError) as caught:
            one.models.generate_content(model=MODEL, contents="hi")
        self.assertEqual(caught.exception.code, 429)
        details = caught.exception.details["error"]["details"]
        delay = [one["retryDelay"] for one in details if one["@type"].endswith("RetryInfo")]
        self.assertGreater(float(delay[0].removesuffix("s")), 0)

    def test_error_in_a_stream(self):
        one = client()
        with self.assertRaises(errors.APIError) as caught:
            list(one.models.generate_content_stream(model="sim-stream-error", contents="hi"))
        self.assertEqual(caught.exception.code, 503)

    def test_faults(self):
        one = client()
        self.assertTrue(one.models.generate_content(model="sim-split", contents="hi").text)
        with self.assertRaises(httpx2.RemoteProtocolError):
            one.models.generate_content(model="sim-cut", contents="hi")


if __name__ == "__main__":
    unittest.main()
