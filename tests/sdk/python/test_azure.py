"""The official OpenAI client for Python as Azure's, unmodified, against the provider simulator.

Started by tests/sdk_providers.rs, which sets BASE_URL, API_KEY and TIGHT_KEY (one request a minute). A deployment's
name ending in `sim-NAME` chooses a fault.
"""

import os
import unittest

import openai

BASE_URL = os.environ["BASE_URL"]
API_KEY = os.environ["API_KEY"]
TIGHT_KEY = os.environ["TIGHT_KEY"]
HELLO = [{"role": "user", "content": "Say hello."}]
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def dated(api_key=API_KEY, version="2024-10-21"):
    return openai.AzureOpenAI(
        azure_endpoint=BASE_URL, api_key=api_key, api_version=version, max_retries=0, timeout=20
    )


def v1(**more):
    return openai.OpenAI(base_url=f"{BASE_URL}/openai/v1/", api_key=API_KEY, max_retries=0, timeout=20, **more)


class Chat(unittest.TestCase):
    clients = [dated(), v1(), v1(default_query={"api-version": "preview"}), v1(default_headers={"api-key": API_KEY})]

    def test_plain(self):
        for client in self.clients:
            answer = client.chat.completions.create(model="my gpt", messages=HELLO)
            self.assertTrue(answer.choices[0].message.content)
            self.assertEqual(answer.model, "my gpt")
            results = answer.choices[0].model_extra["content_filter_results"]
            self.assertEqual(results["hate"], {"filtered": False, "severity": "safe"})
            self.assertEqual(answer.model_extra["prompt_filter_results"][0]["prompt_index"], 0)

    def test_stream(self):
        for client in self.clients:
            chunks = list(
                client.chat.completions.create(
                    model="gpt-4o", messages=HELLO, stream=True, stream_options={"include_usage": True}
                )
            )
            first, last = chunks[0], chunks[-1]
            self.assertEqual((first.choices, first.id), ([], ""))
            self.assertIn("prompt_filter_results", first.model_extra)
            text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
            self.assertEqual(text, client.chat.completions.create(model="gpt-4o", messages=HELLO).choices[0].message.content)
            self.assertEqual((last.choices, last.usage.total_tokens > 0), ([], True))

    def test_tools(self):
        for client in self.clients:
            answer = client.chat.completions.create(model="gpt-4o", messages=HELLO, tools=[TOOL], tool_choice="required")
            self.assertEqual(answer.choices[0].message.tool_calls[0].function.name, "get_weather")

    def test_embeddings(self):
        for client in self.clients:
            answer = client.embeddings.create(model="text-embedding-3-small", input=["a", "b"], dimensions=8)
            self.assertEqual([len(one.embedding) for one in answer.data], [8, 8])

    def test_models(self):
        self.assertTrue(list(v1().models.list()))
        self.assertTrue(list(dated().models.list()))


class Errors(unittest.TestCase):
    def fails(self, error, deployment="gpt-4o", words="hi", client=None):
        with self.assertRaises(error) as caught:
            messages = [{"role": "user", "content": words}]
            (client or dated()).chat.completions.create(model=deployment, messages=messages)
        return caught.exception

    def test_wrong_key(self):
        self.assertEqual(self.fails(openai.AuthenticationError, client=dated("wrong")).code, "401")

    def test_no_deployment(self):
        self.assertEqual(self.fails(openai.NotFoundError, "no-such-model").code, "DeploymentNotFound")

    def test_no_version(self):
        self.assertEqual(self.fails(openai.NotFoundError, client=dated(version="v1")).code, "404")

    def test_content_filter(self):
        error = self.fails(openai.BadRequestError, words="sim-filtered")
        self.assertEqual((error.code, error.param), ("content_filter", "prompt"))
        self.assertEqual(error.body["innererror"]["code"], "ResponsibleAIPolicyViolation")
        self.assertTrue(error.body["innererror"]["content_filter_result"]["violence"]["filtered"])

    def test_limit(self):
        client = dated(TIGHT_KEY)
        self.assertTrue(client.chat.completions.create(model="gpt-4o", messages=HELLO).choices)
        error = self.fails(openai.RateLimitError, client=client)
        self.assertEqual(error.code, "429")
        self.assertGreater(int(error.response.headers["retry-after-ms"]), 0)
        self.assertEqual(error.response.headers["x-ratelimit-remaining-requests"], "0")

    def test_every_status(self):
        for error, deployment in [
            (openai.BadRequestError, "sim-error-400"),
            (openai.PermissionDeniedError, "sim-error-403"),
            (openai.RateLimitError, "sim-error-429"),
            (openai.InternalServerError, "sim-error-500"),
            (openai.InternalServerError, "sim-error-503"),
        ]:
            with self.subTest(deployment=deployment):
                self.fails(error, deployment)


if __name__ == "__main__":
    unittest.main()
