"""The official clients for Python for Vertex AI, Google's and Anthropic's, unmodified, against the provider simulator.

Started by tests/sdk_providers.rs, which sets BASE_URL, API_KEY and SERVICE_ACCOUNT (the JSON file of an account's key,
whose tokens the simulator hands out). A model's name ending in `sim-NAME` chooses a fault.
"""

import json
import os
import unittest

import anthropic
import google.auth.exceptions
import google.auth.transport.requests
from google import genai
from google.genai import errors, types
from google.oauth2 import service_account

BASE_URL = os.environ["BASE_URL"]
API_KEY = os.environ["API_KEY"]
ACCOUNT = json.loads(os.environ["SERVICE_ACCOUNT"])
MODEL = "gemini-2.5-flash"
CLAUDE = "claude-sonnet-4-5@20250929"
SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
HELLO = [{"role": "user", "content": "Say hello."}]


def credentials(**changed):
    return service_account.Credentials.from_service_account_info({**ACCOUNT, **changed}, scopes=SCOPES)


def client(location="europe-west4", **changed):
    return genai.Client(
        vertexai=True,
        project="my-project",
        location=location,
        credentials=credentials(**changed),
        http_options=types.HttpOptions(base_url=BASE_URL, timeout=20_000),
    )


def claude(**options):
    options = options or {"credentials": credentials()}
    base_url = f"{BASE_URL}/v1"
    return anthropic.AnthropicVertex(
        project_id="my-project", region="us-east5", base_url=base_url, max_retries=0, timeout=20, **options
    )


class Gemini(unittest.TestCase):
    def setUp(self):
        # A client that nobody holds closes itself.
        self.client = client()

    def test_plain(self):
        for location in ("global", "europe-west4"):
            one = client(location)
            answer = one.models.generate_content(model=MODEL, contents="Say hello.")
            self.assertTrue(answer.text)
            self.assertGreater(answer.usage_metadata.total_token_count, 0)

    def test_stream(self):
        one = self.client
        chunks = list(one.models.generate_content_stream(model=MODEL, contents="Say hello."))
        self.assertGreater(len(chunks), 3)
        text = one.models.generate_content(model=MODEL, contents="Say hello.").text
        self.assertEqual("".join(chunk.text for chunk in chunks), text)

    def test_tools(self):
        schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
        function = types.FunctionDeclaration(name="get_weather", parameters_json_schema=schema)
        config = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[function])])
        answer = self.client.models.generate_content(model=MODEL, contents="The weather?", config=config)
        self.assertEqual([call.name for call in answer.function_calls], ["get_weather"])

    def test_count_tokens(self):
        self.assertGreater(self.client.models.count_tokens(model=MODEL, contents="Say hello.").total_tokens, 0)

    def test_embeddings(self):
        answer = self.client.models.embed_content(
            model="text-embedding-005",
            contents=["one", "two"],
            config=types.EmbedContentConfig(output_dimensionality=16, task_type="RETRIEVAL_QUERY"),
        )
        self.assertEqual([len(one.values) for one in answer.embeddings], [16, 16])
        self.assertGreater(answer.embeddings[0].statistics.token_count, 0)

    def test_errors(self):
        for code, model, status in [
            (400, "sim-error-400", "INVALID_ARGUMENT"),
            (404, "no-such-model", "NOT_FOUND"),
            (429, "sim-error-429", "RESOURCE_EXHAUSTED"),
            (500, "sim-error-500", "INTERNAL"),
        ]:
            with self.subTest(model=model), self.assertRaises(errors.APIError) as caught:
                self.client.models.generate_content(model=model, contents="hi")
            self.assertEqual((caught.exception.code, caught.exception.status), (code, status))


class Claude(unittest.TestCase):
    def test_plain(self):
        for options in ({"credentials": credentials()}, {"access_token": API_KEY}):
            answer = claude(**options).messages.create(model=CLAUDE, max_tokens=100, messages=HELLO)
            self.assertTrue(answer.content[0].text)
            self.assertEqual(answer.stop_reason, "end_turn")

    def test_stream(self):
        with claude().messages.stream(model=CLAUDE, max_tokens=100, messages=HELLO) as events:
            text = "".join(events.text_stream)
        answer = claude().messages.create(model=CLAUDE, max_tokens=100, messages=HELLO)
        self.assertEqual(text, answer.content[0].text)

    def test_tools(self):
        tool = {"name": "get_weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
        answer = claude().messages.create(
            model=CLAUDE, max_tokens=100, messages=HELLO, tools=[tool], tool_choice={"type": "any"}
        )
        self.assertEqual(answer.content[-1].name, "get_weather")

    def test_count_tokens(self):
        self.assertGreater(claude().messages.count_tokens(model=CLAUDE, messages=HELLO).input_tokens, 0)

    def test_errors(self):
        for error, model in [
            (anthropic.NotFoundError, "no-such-model"),
            (anthropic.RateLimitError, "sim-error-429"),
            (anthropic.InternalServerError, "sim-error-500"),
        ]:
            with self.subTest(model=model), self.assertRaises(error):
                claude().messages.create(model=model, max_tokens=100, messages=HELLO)
        with self.assertRaises(anthropic.AuthenticationError):
            claude(access_token="wrong").messages.create(model=CLAUDE, max_tokens=100, messages=HELLO)


class Tokens(unittest.TestCase):
    def test_a_token_is_handed_out(self):
        one = credentials()
        one.refresh(google.auth.transport.requests.Request())
        self.assertTrue(one.valid and one.token)

    def test_another_account_gets_none(self):
        with self.assertRaises(google.auth.exceptions.RefreshError) as caught:
            credentials(client_email="b@c.d").refresh(google.auth.transport.requests.Request())
        self.assertIn("invalid_grant", str(caught.exception))

    def test_none_for_another_scope(self):
        one = service_account.Credentials.from_service_account_info(ACCOUNT, scopes=["email"])
        with self.assertRaises(google.auth.exceptions.RefreshError):
            one.refresh(google.auth.transport.requests.Request())


if __name__ == "__main__":
    unittest.main()
