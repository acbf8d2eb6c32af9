"""The official Mistral client for Python, unmodified, against the provider simulator.

Started by tests/sdk_providers.rs, which sets BASE_URL, API_KEY and TIGHT_KEY (one request a minute). A model's name
ending in `sim-NAME` chooses a fault.
"""

import json
import os
import unittest

from mistralai.client import Mistral, errors, models

BASE_URL = f"{os.environ['BASE_URL']}/mistral"
API_KEY = os.environ["API_KEY"]
TIGHT_KEY = os.environ["TIGHT_KEY"]
MODEL = "mistral-small-latest"
HELLO = [{"role": "user", "content": "Say hello."}]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}]


def client(api_key=API_KEY):
    return Mistral(api_key=api_key, server_url=BASE_URL, timeout_ms=20_000)


def ask(messages=HELLO, model=MODEL, **more):
    return client().chat.complete(model=model, messages=messages, **more)


class Chat(unittest.TestCase):
    def test_plain(self):
        answer = ask(random_seed=3, safe_prompt=True, temperature=0.2)
        self.assertTrue(answer.choices[0].message.content)
        self.assertEqual((answer.choices[0].finish_reason, answer.object), ("stop", "chat.completion"))
        usage = answer.usage
        self.assertEqual(usage.prompt_tokens + usage.completion_tokens, usage.total_tokens)

    def test_length(self):
        answer = ask(max_tokens=3)
        self.assertEqual((answer.choices[0].finish_reason, answer.usage.completion_tokens), ("length", 3))

    def test_the_end_of_the_context(self):
        answer = ask([{"role": "user", "content": "sim-model-length"}])
        self.assertEqual(answer.choices[0].finish_reason, "model_length")

    def test_stream(self):
        chunks = [event.data for event in client().chat.stream(model=MODEL, messages=HELLO)]
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        self.assertEqual(text, ask().choices[0].message.content)
        self.assertEqual(chunks[0].choices[0].delta.role, "assistant")
        self.assertEqual([chunk.usage is not None for chunk in chunks], [False] * (len(chunks) - 1) + [True])
        self.assertEqual(chunks[-1].choices[0].finish_reason, "stop")

    def test_tools_and_their_results(self):
        for choice in ("any", "required", {"type": "function", "function": {"name": "get_weather"}}):
            answer = ask(tools=TOOLS, tool_choice=choice)
            self.assertEqual(answer.choices[0].finish_reason, "tool_calls")
        message = answer.choices[0].message
        (call,) = message.tool_calls
        self.assertRegex(call.id, "^[a-zA-Z0-9]{9}$")
        self.assertEqual(json.loads(call.function.arguments), {"city": "Paris"})
        result = {"role": "tool", "tool_call_id": call.id, "name": "get_weather", "content": "23 degrees"}
        again = ask([*HELLO, message, result], tools=TOOLS)
        self.assertIn("23 degrees", again.choices[0].message.content)

    def test_tools_in_a_stream_come_whole(self):
        chunks = [event.data for event in client().chat.stream(
            model=MODEL, messages=HELLO, tools=TOOLS, tool_choice="any"
        )]
        calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
        self.assertEqual([json.loads(call.function.arguments) for call in calls], [{"city": "Paris"}])
        self.assertEqual(chunks[-1].choices[0].finish_reason, "tool_calls")

    def test_thoughts(self):
        content = ask(model="magistral-medium-latest").choices[0].message.content
        self.assertIsInstance(content[0], models.ThinkChunk)
        self.assertTrue(content[0].thinking[0].text and content[1].text)
        chunks = [event.data for event in client().chat.stream(model="magistral-medium-latest", messages=HELLO)]
        self.assertIsInstance(chunks[0].choices[0].delta.content[0], models.ThinkChunk)
        # And they may go back.
        again = [*HELLO, {"role": "assistant", "content": content}, {"role": "user", "content": "Go on."}]
        self.assertEqual(ask(again).choices[0].finish_reason, "stop")

    def test_probabilities(self):
        content = ask(logprobs=True, top_logprobs=2, top_k=5).choices[0].logprobs.content
        self.assertEqual([len(token.top_logprobs) for token in content], [2] * len(content))

    def test_json_by_a_schema(self):
        of = {"name": "place", "schema": PARAMETERS, "strict": True}
        answer = ask(response_format={"type": "json_schema", "json_schema": of})
        self.assertEqual(json.loads(answer.choices[0].message.content), {"city": "Paris"})

    def test_an_image_and_an_answer_that_is_begun(self):
        parts = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": "https://example.com/a.png"}]
        user = {"role": "user", "content": parts}
        self.assertIn("1 image", ask([user]).choices[0].message.content)
        begun = {"role": "assistant", "content": "It is", "prefix": True}
        self.assertEqual(ask([user, begun]).choices[0].finish_reason, "stop")

    def test_embeddings(self):
        answer = client().embeddings.create(model="mistral-embed", inputs=["one", "two"])
        self.assertEqual([one.index for one in answer.data], [0, 1])
        self.assertGreater(answer.usage.total_tokens, 0)


class Errors(unittest.TestCase):
    def test_by_status(self):
        for status in (400, 429, 500, 503):
            with self.subTest(status=status), self.assertRaises(errors.SDKError) as caught:
                ask(model=f"{MODEL}-sim-error-{status}")
            self.assertEqual(caught.exception.status_code, status)
            self.assertEqual(json.loads(caught.exception.body)["object"], "error")

    def test_what_it_does_not_know(self):
        with self.assertRaises(errors.HTTPValidationError) as caught:
            client().chat.complete(model=MODEL, messages=HELLO, random_seed=-1)
        (found,) = caught.exception.data.detail
        self.assertEqual((found.type, found.loc), ("greater_than_equal", ["body", "random_seed"]))

    def test_who_speaks_after_whom(self):
        call = {"id": "abcdefgh9", "function": {"name": "get_weather", "arguments": "{}"}}
        talk = [*HELLO, {"role": "assistant", "content": "", "tool_calls": [call]}]
        talk += [{"role": "tool", "tool_call_id": "abcdefgh9", "content": "x"}, *HELLO]
        with self.assertRaises(errors.SDKError) as caught:
            ask(talk)
        self.assertIn("Unexpected role 'user' after role 'tool'", caught.exception.body)
        talk[1]["tool_calls"][0]["id"] = talk[2]["tool_call_id"] = "call_1"
        with self.assertRaises(errors.SDKError) as caught:
            ask(talk[:3])
        self.assertIn("length of 9", caught.exception.body)

    def test_wrong_key(self):
        with self.assertRaises(errors.SDKError) as caught:
            client("wrong").chat.complete(model=MODEL, messages=HELLO)
        self.assertEqual(caught.exception.status_code, 401)

    def test_limit(self):
        one = client(TIGHT_KEY)
        one.chat.complete(model=MODEL, messages=HELLO)
        with self.assertRaises(errors.SDKError) as caught:
            one.chat.complete(model=MODEL, messages=HELLO)
        self.assertEqual(caught.exception.status_code, 429)
        self.assertEqual(caught.exception.headers["x-ratelimit-remaining-req-minute"], "0")


if __name__ == "__main__":
    unittest.main()
