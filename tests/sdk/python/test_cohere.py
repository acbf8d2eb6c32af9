"""The official Cohere client for Python (version 2 of the API), unmodified, against the provider simulator.

Started by tests/sdk_providers.rs, which sets BASE_URL, API_KEY and TIGHT_KEY (one request a minute). A model's name
ending in `sim-NAME` chooses a fault.
"""

import json
import os
import unittest

import cohere

BASE_URL = os.environ["BASE_URL"]
API_KEY = os.environ["API_KEY"]
TIGHT_KEY = os.environ["TIGHT_KEY"]
MODEL = "command-a-03-2025"
HELLO = [{"role": "user", "content": "Say hello."}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
        },
    },
}
# Each class of error with a model that causes it.
ERRORS = [
    (cohere.BadRequestError, 400, "sim-error-400"),
    (cohere.UnauthorizedError, 401, "sim-error-401"),
    (cohere.ForbiddenError, 403, "sim-error-403"),
    (cohere.NotFoundError, 404, "no-such-model"),
    (cohere.UnprocessableEntityError, 422, "sim-error-422"),
    (cohere.TooManyRequestsError, 429, "sim-error-429"),
    (cohere.InternalServerError, 500, "sim-error-500"),
    (cohere.ServiceUnavailableError, 503, "sim-error-503"),
]
ONCE = {"max_retries": 0}


def client(api_key=API_KEY):
    return cohere.ClientV2(api_key=api_key, base_url=BASE_URL, timeout=20)


class Chat(unittest.TestCase):
    def setUp(self):
        self.client = client()

    def chat(self, **options):
        return self.client.chat(**{"model": MODEL, "messages": HELLO, **options})

    def test_plain(self):
        answer = self.chat(temperature=0.3, p=0.75, k=0, seed=7)
        self.assertEqual(answer.finish_reason, "COMPLETE")
        self.assertTrue(answer.message.content[0].text)
        self.assertGreater(answer.usage.tokens.input_tokens, 0)
        self.assertGreater(answer.usage.billed_units.output_tokens, 0)

    def test_length_and_stop(self):
        self.assertEqual(self.chat(max_tokens=3).finish_reason, "MAX_TOKENS")
        self.assertEqual(self.chat(stop_sequences=["simulated"]).finish_reason, "STOP_SEQUENCE")

    def test_stream(self):
        events = list(self.client.chat_stream(model=MODEL, messages=HELLO))
        pieces = [event.delta.message.content.text for event in events if event.type == "content-delta"]
        self.assertGreater(len(pieces), 3)
        whole = self.chat()
        self.assertEqual("".join(pieces), whole.message.content[0].text)
        self.assertEqual(events[-1].delta.finish_reason, "COMPLETE")
        self.assertEqual(events[-1].delta.usage.tokens.output_tokens, whole.usage.tokens.output_tokens)

    def test_tools(self):
        answer = self.chat(tools=[WEATHER])
        self.assertEqual(answer.finish_reason, "TOOL_CALL")
        self.assertTrue(answer.message.tool_plan)
        call = answer.message.tool_calls[0]
        self.assertEqual(json.loads(call.function.arguments), {"city": "Paris", "days": 7})
        content = [{"type": "document", "document": {"data": json.dumps({"sky": "rain"})}}]
        talk = [*HELLO, answer.message, {"role": "tool", "tool_call_id": call.id, "content": content}]
        self.assertIn("rain", self.chat(messages=talk, tools=[WEATHER]).message.content[0].text)

    def test_streamed_tools(self):
        events = list(self.client.chat_stream(model=MODEL, messages=HELLO, tools=[WEATHER]))
        parts = [event for event in events if event.type in ("tool-call-start", "tool-call-delta")]
        calls = [event.delta.message.tool_calls for event in parts]
        self.assertEqual(calls[0].function.name, "get_weather")
        arguments = "".join(call.function.arguments for call in calls)
        self.assertEqual(json.loads(arguments), {"city": "Paris", "days": 7})
        self.assertEqual(events[-1].delta.finish_reason, "TOOL_CALL")

    def test_json(self):
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
        answer = self.chat(response_format={"type": "json_object", "json_schema": schema})
        self.assertEqual(json.loads(answer.message.content[0].text), {"n": 7})

    def test_thinking(self):
        answer = self.chat(thinking={"type": "enabled"})
        self.assertEqual([part.type for part in answer.message.content], ["thinking", "text"])

    def test_embed(self):
        answer = self.client.embed(
            model="embed-v4.0",
            input_type="search_query",
            texts=["one", "two"],
            output_dimension=256,
            embedding_types=["float", "int8"],
        )
        self.assertEqual([len(one) for one in answer.embeddings.float_], [256, 256])
        self.assertEqual(len(answer.embeddings.int8[0]), 256)
        self.assertGreater(answer.meta.billed_units.input_tokens, 0)

    def test_rerank(self):
        documents = ["a poem on rust", "Paris is the capital of France", "bread"]
        answer = self.client.rerank(model="rerank-v3.5", query="capital of France", documents=documents, top_n=2)
        self.assertEqual((len(answer.results), answer.results[0].index), (2, 1))


class Errors(unittest.TestCase):
    def test_every_class(self):
        one = client()
        for error, status, model in ERRORS:
            with self.subTest(model=model), self.assertRaises(error) as caught:
                one.chat(model=model, messages=HELLO, request_options=ONCE)
            self.assertEqual(caught.exception.status_code, status)

    def test_limit(self):
        one = client(TIGHT_KEY)
        one.chat(model=MODEL, messages=HELLO)
        with self.assertRaises(cohere.TooManyRequestsError) as caught:
            one.chat(model=MODEL, messages=HELLO, request_options=ONCE)
        self.assertGreater(int(caught.exception.headers["retry-after"]), 0)

    def test_wrong_key(self):
        with self.assertRaises(cohere.UnauthorizedError):
            client("wrong").chat(model=MODEL, messages=HELLO, request_options=ONCE)


if __name__ == "__main__":
    unittest.main()
