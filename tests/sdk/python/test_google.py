"""Google's official client, unmodified, in the ways in which it is used beside single questions: chats that it keeps
itself, functions that it calls itself, counts, lists and embeddings, to providers of other dialects and to Gemini.

Started by tests/sdk.rs, which sets GATEWAY (the gateway's address) and API_KEY.
"""

import asyncio
import os
import unittest

from google import genai
from google.genai import errors, types
from pydantic import BaseModel

GATEWAY = os.environ["GATEWAY"]
API_KEY = os.environ["API_KEY"]
MODELS = [
    "openai:gpt-4o-mini", "claude:claude-sonnet-4-5", "gemini:gemini-2.5-flash", "cohere:command-a-03-2025",
    "bedrock:us.anthropic.claude-sonnet-4-5-20250929-v1:0",
]
# Models with thoughts, and a budget for them.
THINKING = ["claude:claude-sonnet-4-5", "gemini:gemini-2.5-flash", "bedrock:us.anthropic.claude-sonnet-4-5-20250929-v1:0"]


def client(api_key=API_KEY, **options):
    retry = types.HttpRetryOptions(attempts=1)
    options = types.HttpOptions(base_url=f"http://{GATEWAY}", timeout=20_000, retry_options=retry, **options)
    return genai.Client(api_key=api_key, http_options=options, vertexai=False)


class Trip(BaseModel):
    city: str
    days: int


class Google(unittest.TestCase):
    def setUp(self):
        self.client = client()

    def test_chats(self):
        for model in MODELS:
            with self.subTest(model=model):
                chat = self.client.chats.create(model=model)
                streamed = "".join(chunk.text or "" for chunk in chat.send_message_stream("one"))
                self.assertTrue(streamed)
                self.assertTrue(chat.send_message("two").text)
                self.assertTrue("".join(chunk.text or "" for chunk in chat.send_message_stream("three")))

    def test_functions_are_called_by_the_client(self):
        for model in MODELS:
            with self.subTest(model=model):
                asked = []

                def get_weather(city: str) -> str:
                    """The weather at a place."""
                    asked.append(city)
                    return "rain and 7 degrees"

                answer = self.client.models.generate_content(
                    model=model, contents="Say hello.", config=types.GenerateContentConfig(tools=[get_weather])
                )
                self.assertIn("rain and 7 degrees", answer.text)
                self.assertEqual(len(asked), 1)

    def test_thoughts_come_back_to_who_had_them(self):
        weather = types.FunctionDeclaration(
            name="get_weather",
            parameters=types.Schema(type=types.Type.OBJECT, properties={"city": types.Schema(type=types.Type.STRING)}),
        )
        config = types.GenerateContentConfig(
            tools=[types.Tool(function_declarations=[weather])],
            max_output_tokens=4000,
            thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_budget=1024),
        )
        ask = types.Content(role="user", parts=[types.Part(text="Say hello.")])
        for model in THINKING:
            with self.subTest(model=model):
                for stream in (False, True):
                    given = {"model": model, "contents": [ask], "config": config}
                    if stream:
                        said = [chunk.candidates[0].content for chunk in self.client.models.generate_content_stream(**given)]
                    else:
                        said = [self.client.models.generate_content(**given).candidates[0].content]
                    parts = [part for content in said for part in content.parts or []]
                    self.assertTrue(any(part.thought for part in parts), parts)
                    (call,) = [part.function_call for part in parts if part.function_call]
                    result = types.Part.from_function_response(name=call.name, response={"result": "it rains"})
                    # Without the id, as those send it who make it by hand.
                    talk = [ask, *said, types.Content(role="user", parts=[result])]
                    answer = self.client.models.generate_content(model=model, contents=talk, config=config)
                    self.assertIn("it rains", answer.text)

    def test_json_is_parsed_by_the_client(self):
        for model in MODELS:
            with self.subTest(model=model):
                config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Trip)
                answer = self.client.models.generate_content(model=model, contents="Where to?", config=config)
                self.assertIsInstance(answer.parsed, Trip)

    def test_counts(self):
        for model in MODELS:
            with self.subTest(model=model):
                self.assertGreater(self.client.models.count_tokens(model=model, contents="Hello there").total_tokens, 0)

    def test_several_answers(self):
        config = types.GenerateContentConfig(candidate_count=2, temperature=0.5, top_p=0.5, seed=7)
        for model in ["openai:gpt-4o-mini", "gemini:gemini-2.5-flash"]:
            with self.subTest(model=model):
                answer = self.client.models.generate_content(model=model, contents="hi", config=config)
                self.assertEqual(len(answer.candidates), 2)

    def test_async_and_the_other_version(self):
        async def run():
            one = client(api_version="v1beta")
            chunks = await one.aio.models.generate_content_stream(
                model="openai:gpt-4o-mini", contents="hi"
            )
            return [chunk.text async for chunk in chunks]

        self.assertGreater(len(asyncio.run(run())), 3)

    def test_what_is_not_known_is_named(self):
        config = types.GenerateContentConfig(top_k=4)
        with self.assertRaises(errors.ClientError) as raised:
            self.client.models.generate_content(model="openai:gpt-4o-mini", contents="hi", config=config)
        self.assertEqual((raised.exception.code, raised.exception.status), (400, "INVALID_ARGUMENT"))
        self.assertIn("topK", raised.exception.message)
        for key, model, code in (("wrong", MODELS[0], 401), (API_KEY, "nobody:x", 404)):
            with self.assertRaises(errors.ClientError) as raised:
                one = client(key)  # it is closed with the last that holds it
                one.models.generate_content(model=model, contents="hi")
            self.assertEqual(raised.exception.code, code)

    def test_errors_in_a_stream(self):
        for model in ["openai:sim-stream-error", "claude:sim-stream-error", "gemini:sim-stream-error"]:
            with self.subTest(model=model):
                with self.assertRaises(errors.APIError) as raised:
                    list(self.client.models.generate_content_stream(model=model, contents="hi"))
                self.assertGreaterEqual(raised.exception.code, 500)

    def test_models(self):
        for version in ("v1", "v1beta"):
            one = client(api_version=version)
            names = [model.name for model in one.models.list(config={"page_size": 2})]
            self.assertIn("models/openai:gpt-4o-mini", names)
            self.assertEqual(one.models.get(model="openai:gpt-4o-mini").name, "models/openai:gpt-4o-mini")

    def test_embeddings(self):
        # What has another name with "gemini" in it is sent all texts as one by the client.
        models = ["openai:text-embedding-3-small", "gemini-embedding-001", "cohere:embed-v4.0", "voyage:voyage-3.5"]
        for model in models:
            with self.subTest(model=model):
                config = types.EmbedContentConfig(output_dimensionality=256)
                answer = self.client.models.embed_content(model=model, contents=["one", "größe 😀"], config=config)
                self.assertEqual([len(one.values) for one in answer.embeddings], [256, 256])
        for model in models[1:]:
            with self.subTest(model=model):
                config = types.EmbedContentConfig(output_dimensionality=256, task_type="RETRIEVAL_QUERY")
                self.assertEqual(len(self.client.models.embed_content(model=model, contents="a", config=config).embeddings), 1)


if __name__ == "__main__":
    unittest.main()
