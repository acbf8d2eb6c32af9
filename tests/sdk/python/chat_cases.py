"""Cases that clients made by the same generator share: those of Fireworks and of Together.

Not started by itself. A test's class says which client it is, and what its provider does in its own way.
"""

import json
import os

BASE_URL = os.environ["BASE_URL"]
API_KEY = os.environ["API_KEY"]
TIGHT_KEY = os.environ["TIGHT_KEY"]
HELLO = [{"role": "user", "content": "Say hello."}]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}]


class Provider:
    """`sdk` is the client's module, `make` its class, `path` where the simulator speaks as this provider."""

    sdk = make = path = model = None

    def client(self, api_key=API_KEY):
        return self.make(api_key=api_key, base_url=BASE_URL + self.path, timeout=20, max_retries=0)

    def ask(self, messages=HELLO, model=None, **more):
        return self.client().chat.completions.create(model=model or self.model, messages=messages, **more)


class ChatCases(Provider):
    # The word for an end that is none but the model's own, a model that thinks, and where its thoughts stand.
    end = thinker = thoughts = None

    def test_plain(self):
        answer = self.ask(top_k=5, repetition_penalty=1.1)
        self.assertTrue(answer.choices[0].message.content)
        self.assertEqual((answer.choices[0].finish_reason, answer.object), (self.end, "chat.completion"))
        usage = answer.usage
        self.assertEqual(usage.prompt_tokens + usage.completion_tokens, usage.total_tokens)

    def test_why_it_ends(self):
        self.assertEqual(self.ask(max_tokens=3).choices[0].finish_reason, "length")
        self.assertEqual(self.ask(stop=["comes"]).choices[0].finish_reason, "stop")

    def test_stream(self):
        chunks = list(self.ask(stream=True))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        self.assertEqual(text, self.ask().choices[0].message.content)
        self.assertEqual(chunks[-1].choices[0].finish_reason, self.end)
        self.assertGreater(chunks[-1].usage.completion_tokens, 0)

    def test_tools_and_their_results(self):
        answer = self.ask(tools=TOOLS, tool_choice="required")
        self.assertEqual(answer.choices[0].finish_reason, "tool_calls")
        message = answer.choices[0].message
        (call,) = message.tool_calls
        self.assertEqual(json.loads(call.function.arguments), {"city": "Paris"})
        result = {"role": "tool", "tool_call_id": call.id, "content": "23 degrees"}
        said = message.model_dump(exclude_none=True)
        again = self.ask([*HELLO, said, result], tools=TOOLS)
        self.assertIn("23 degrees", again.choices[0].message.content)

    def test_tools_in_a_stream(self):
        chunks = list(self.ask(stream=True, tools=TOOLS, tool_choice="required"))
        calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
        self.assertEqual("".join(call.function.arguments for call in calls), '{"city":"Paris"}')
        self.assertEqual(chunks[-1].choices[0].finish_reason, "tool_calls")

    def test_thoughts(self):
        message = self.ask(model=self.thinker).choices[0].message
        self.assertTrue(getattr(message, self.thoughts) and message.content)
        chunks = list(self.ask(model=self.thinker, stream=True))
        self.assertTrue(getattr(chunks[0].choices[0].delta, self.thoughts))

    def test_json_by_a_schema(self):
        of = {"name": "place", "schema": PARAMETERS}
        answer = self.ask(response_format={"type": "json_schema", "json_schema": of})
        self.assertEqual(json.loads(answer.choices[0].message.content), {"city": "Paris"})


class ErrorCases(Provider):
    # The field that says how many requests are left.
    left = None

    def test_by_status(self):
        for kind, status in [
            (self.sdk.BadRequestError, 400),
            (self.sdk.UnprocessableEntityError, 422),
            (self.sdk.RateLimitError, 429),
            (self.sdk.InternalServerError, 500),
            (self.sdk.InternalServerError, 503),
        ]:
            with self.subTest(status=status), self.assertRaises(kind) as caught:
                self.ask(model=f"{self.model}-sim-error-{status}")
            self.assertEqual(caught.exception.status_code, status)
            self.assertTrue(caught.exception.body["error"]["message"])
        with self.assertRaises(self.sdk.NotFoundError):
            self.ask(model="no-such-model")

    def test_wrong_key(self):
        with self.assertRaises(self.sdk.AuthenticationError):
            self.client("wrong").chat.completions.create(model=self.model, messages=HELLO)

    def test_limit(self):
        one = self.client(TIGHT_KEY)
        one.chat.completions.create(model=self.model, messages=HELLO)
        with self.assertRaises(self.sdk.RateLimitError) as caught:
            one.chat.completions.create(model=self.model, messages=HELLO)
        self.assertEqual(caught.exception.response.headers[self.left], "0")
