"""Hugging Face's official client for Python, unmodified, against the provider simulator: its router, and Text
Generation Inference.

Started by tests/sdk_providers.rs, which sets BASE_URL, API_KEY and TIGHT_KEY (one request a minute). A model's name
ending in `sim-NAME` chooses a fault.
"""

import json
import os
import unittest

from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

ROUTER = f"{os.environ['BASE_URL']}/huggingface/v1"
TGI = f"{os.environ['BASE_URL']}/tgi"
API_KEY = os.environ["API_KEY"]
TIGHT_KEY = os.environ["TIGHT_KEY"]
MODEL = "meta-llama/Llama-3.3-70B-Instruct"
HELLO = [{"role": "user", "content": "Say hello."}]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}]
CLIENTS = {}


def ask(messages=HELLO, model=MODEL, base=ROUTER, api_key=API_KEY, **more):
    # A client that nobody holds closes its streams.
    if (base, api_key) not in CLIENTS:
        CLIENTS[base, api_key] = InferenceClient(base_url=base, api_key=api_key, timeout=20)
    return CLIENTS[base, api_key].chat.completions.create(model=model, messages=messages, **more)


class Chat(unittest.TestCase):
    def test_plain(self):
        for base in (ROUTER, TGI):
            answer = ask(base=base, temperature=0.5, seed=3)
            self.assertTrue(answer.choices[0].message.content)
            self.assertEqual(answer.choices[0].finish_reason, "stop")
            usage = answer.usage
            self.assertEqual(usage.prompt_tokens + usage.completion_tokens, usage.total_tokens)

    def test_length(self):
        answer = ask(base=TGI, max_tokens=3)
        self.assertEqual((answer.choices[0].finish_reason, answer.usage.completion_tokens), ("length", 3))

    def test_stream(self):
        for base in (ROUTER, TGI):
            chunks = list(ask(base=base, stream=True))
            text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
            self.assertEqual(text, ask(base=base).choices[0].message.content)
            self.assertEqual(chunks[-1].choices[0].finish_reason, "stop")
            self.assertEqual([chunk for chunk in chunks if chunk.usage], [])

    def test_usage_of_a_stream_that_asks(self):
        chunks = list(ask(base=TGI, stream=True, stream_options={"include_usage": True}))
        self.assertEqual(chunks[-1].choices, [])
        self.assertGreater(chunks[-1].usage.completion_tokens, 0)

    def test_tools_and_their_results(self):
        message = ask(tools=TOOLS, tool_choice="required").choices[0].message
        (call,) = message.tool_calls
        self.assertEqual(json.loads(call.function.arguments), {"city": "Paris"})
        function = {"name": call.function.name, "arguments": call.function.arguments}
        said = {"role": "assistant", "tool_calls": [{"id": call.id, "type": "function", "function": function}]}
        result = {"role": "tool", "tool_call_id": call.id, "content": "23 degrees"}
        again = ask([*HELLO, said, result], tools=TOOLS)
        self.assertIn("23 degrees", again.choices[0].message.content)

    def test_tools_in_a_stream(self):
        chunks = list(ask(stream=True, tools=TOOLS, tool_choice="required"))
        calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
        self.assertEqual("".join(call.function.arguments for call in calls), '{"city":"Paris"}')

    def test_json_by_a_schema(self):
        of = {"name": "place", "schema": PARAMETERS, "strict": True}
        answer = ask(response_format={"type": "json_schema", "json_schema": of})
        self.assertEqual(json.loads(answer.choices[0].message.content), {"city": "Paris"})


class Errors(unittest.TestCase):
    def refused(self, status, **asked):
        with self.assertRaises(HfHubHTTPError) as caught:
            ask(**asked)
        self.assertEqual(caught.exception.response.status_code, status)
        return caught.exception

    def test_by_status(self):
        for base in (ROUTER, TGI):
            for status in (400, 429, 500):
                with self.subTest(base=base, status=status):
                    self.refused(status, base=base, model=f"{MODEL}-sim-error-{status}")

    def test_of_the_inference(self):
        told = self.refused(422, base=TGI, top_p=0.0)
        self.assertIn("`top_p` must be > 0.0 and < 1.0", str(told))

    def test_wrong_key_and_model(self):
        self.refused(401, api_key="wrong")
        self.refused(400, model="no-such-model")

    def test_limit(self):
        ask(api_key=TIGHT_KEY)
        self.refused(429, api_key=TIGHT_KEY)


if __name__ == "__main__":
    unittest.main()
