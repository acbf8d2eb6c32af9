"""The official Together client for Python, unmodified, against the provider simulator.

Started by tests/sdk_providers.rs, which sets BASE_URL, API_KEY and TIGHT_KEY (one request a minute). A model's name
ending in `sim-NAME` chooses a fault.
"""

import json
import os
import unittest

import together

BASE_URL = f"{os.environ['BASE_URL']}/together"
API_KEY = os.environ["API_KEY"]
TIGHT_KEY = os.environ["TIGHT_KEY"]
MODEL = "meta-llama/Llama-3.3-70B-Instruct-Turbo"
HELLO = [{"role": "user", "content": "Say hello."}]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}]


def client(api_key=API_KEY):
    return together.Together(api_key=api_key, base_url=BASE_URL, timeout=20, max_retries=0)


def ask(messages=HELLO, model=MODEL, **more):
    return client().chat.completions.create(model=model, messages=messages, **more)


class Chat(unittest.TestCase):
    def test_plain(self):
        answer = ask(top_k=5, repetition_penalty=1.1)
        self.assertTrue(answer.choices[0].message.content)
        self.assertEqual((answer.choices[0].finish_reason, answer.object), ("eos", "chat.completion"))
        usage = answer.usage
        self.assertEqual(usage.prompt_tokens + usage.completion_tokens, usage.total_tokens)

    def test_why_it_ends(self):
        self.assertEqual(ask(max_tokens=3).choices[0].finish_reason, "length")
        self.assertEqual(ask(stop=["comes"]).choices[0].finish_reason, "stop")

    def test_stream(self):
        chunks = list(ask(stream=True))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        self.assertEqual(text, ask().choices[0].message.content)
        self.assertEqual({chunk.choices[0].delta.role for chunk in chunks}, {"assistant"})
        self.assertEqual(chunks[-1].choices[0].finish_reason, "eos")
        self.assertGreater(chunks[-1].usage.completion_tokens, 0)

    def test_tools_and_their_results(self):
        answer = ask(tools=TOOLS, tool_choice="required")
        self.assertEqual(answer.choices[0].finish_reason, "tool_calls")
        message = answer.choices[0].message
        (call,) = message.tool_calls
        self.assertEqual(json.loads(call.function.arguments), {"city": "Paris"})
        result = {"role": "tool", "tool_call_id": call.id, "content": "23 degrees"}
        said = message.model_dump(exclude_none=True)
        again = ask([*HELLO, said, result], tools=TOOLS)
        self.assertIn("23 degrees", again.choices[0].message.content)

    def test_tools_in_a_stream(self):
        chunks = list(ask(stream=True, tools=TOOLS, tool_choice="required"))
        calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
        self.assertEqual("".join(call.function.arguments for call in calls), '{"city":"Paris"}')
        self.assertEqual(chunks[-1].choices[0].finish_reason, "tool_calls")

    def test_thoughts(self):
        message = ask(model="deepseek-ai/DeepSeek-R1").choices[0].message
        self.assertTrue(message.reasoning and message.content)
        chunks = list(ask(model="deepseek-ai/DeepSeek-R1", stream=True))
        self.assertTrue(chunks[0].choices[0].delta.reasoning)

    def test_json_by_a_schema(self):
        of = {"name": "place", "schema": PARAMETERS}
        answer = ask(response_format={"type": "json_schema", "json_schema": of})
        self.assertEqual(json.loads(answer.choices[0].message.content), {"city": "Paris"})

    def test_embeddings(self):
        answer = client().embeddings.create(model="BAAI/bge-base-en-v1.5", input=["one", "two"])
        self.assertEqual([one.index for one in answer.data], [0, 1])


class Errors(unittest.TestCase):
    def test_by_status(self):
        for kind, status in [
            (together.BadRequestError, 400),
            (together.UnprocessableEntityError, 422),
            (together.RateLimitError, 429),
            (together.InternalServerError, 500),
            (together.InternalServerError, 503),
        ]:
            with self.subTest(status=status), self.assertRaises(kind) as caught:
                ask(model=f"{MODEL}-sim-error-{status}")
            self.assertEqual(caught.exception.status_code, status)
            self.assertTrue(caught.exception.body["error"]["message"])
        with self.assertRaises(together.NotFoundError):
            ask(model="no-such-model")

    def test_wrong_key(self):
        with self.assertRaises(together.AuthenticationError):
            client("wrong").chat.completions.create(model=MODEL, messages=HELLO)

    def test_limit(self):
        one = client(TIGHT_KEY)
        one.chat.completions.create(model=MODEL, messages=HELLO)
        with self.assertRaises(together.RateLimitError) as caught:
            one.chat.completions.create(model=MODEL, messages=HELLO)
        self.assertEqual(caught.exception.response.headers["x-ratelimit-remaining"], "0")


if __name__ == "__main__":
    unittest.main()
