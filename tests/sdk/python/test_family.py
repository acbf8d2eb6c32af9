"""The official OpenAI client for Python, unmodified, against the provider simulator as xAI and OpenRouter: their own
documentation says to use it. (xAI's own client speaks gRPC.)

Started by tests/sdk_providers.rs, which sets BASE_URL, API_KEY and TIGHT_KEY (one request a minute). A model's name
ending in `sim-NAME` chooses a fault.
"""

import json
import os
import unittest

import openai

ROOTS = {"grok": "grok/v1", "openrouter": "openrouter/api/v1"}
MODELS = {"grok": "grok-3-mini", "openrouter": "anthropic/claude-sonnet-4.5"}
API_KEY = os.environ["API_KEY"]
TIGHT_KEY = os.environ["TIGHT_KEY"]
HELLO = [{"role": "user", "content": "Say hello."}]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}]


def ask(provider, messages=HELLO, model=None, api_key=API_KEY, **more):
    base = f"{os.environ['BASE_URL']}/{ROOTS[provider]}"
    client = openai.OpenAI(base_url=base, api_key=api_key, timeout=20, max_retries=0)
    return client.chat.completions.create(model=model or MODELS[provider], messages=messages, **more)


class All(unittest.TestCase):
    def test_plain_and_streamed(self):
        for provider in ROOTS:
            with self.subTest(provider):
                answer = ask(provider)
                self.assertEqual(answer.choices[0].finish_reason, "stop")
                chunks = list(ask(provider, stream=True))
                text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
                self.assertEqual(text, answer.choices[0].message.content)
                # Nobody asked.
                self.assertEqual(chunks[-1].usage.total_tokens, answer.usage.total_tokens)

    def test_tools_and_their_results(self):
        for provider in ROOTS:
            with self.subTest(provider):
                message = ask(provider, tools=TOOLS, tool_choice="required").choices[0].message
                (call,) = message.tool_calls
                self.assertEqual(json.loads(call.function.arguments), {"city": "Paris"})
                result = {"role": "tool", "tool_call_id": call.id, "content": "23 degrees"}
                again = ask(provider, [*HELLO, message, result], tools=TOOLS)
                self.assertIn("23 degrees", again.choices[0].message.content)

    def test_tools_in_a_stream(self):
        for provider in ROOTS:
            with self.subTest(provider):
                chunks = list(ask(provider, stream=True, tools=TOOLS, tool_choice="required"))
                deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
                calls = [call for delta in deltas for call in delta.tool_calls or []]
                self.assertEqual("".join(call.function.arguments for call in calls), '{"city":"Paris"}')
                if provider == "grok":
                    self.assertEqual(len(calls), 1, "whole")

    def test_errors_by_status(self):
        for provider in ROOTS:
            for kind, status in [
                (openai.BadRequestError, 400), (openai.RateLimitError, 429), (openai.InternalServerError, 500),
            ]:
                with self.subTest(provider, status=status), self.assertRaises(kind) as caught:
                    ask(provider, model=f"{MODELS[provider]}-sim-error-{status}")
                self.assertTrue(caught.exception.message)

    def test_limit(self):
        # One key for all of them.
        ask("grok", api_key=TIGHT_KEY)
        for provider in ROOTS:
            with self.subTest(provider), self.assertRaises(openai.RateLimitError) as caught:
                ask(provider, api_key=TIGHT_KEY)
            if provider != "openrouter":
                self.assertEqual(caught.exception.response.headers["x-ratelimit-remaining-requests"], "0")


class Grok(unittest.TestCase):
    def test_thoughts_are_counted_apart(self):
        answer = ask("grok", reasoning_effort="low")
        self.assertTrue(answer.choices[0].message.reasoning_content)
        usage = answer.usage
        thought = usage.completion_tokens_details.reasoning_tokens
        self.assertEqual(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens + thought)

    def test_what_models_that_think_refuse(self):
        for more in ({"stop": ["a"]}, {"presence_penalty": 0.1}, {"reasoning_effort": "medium"}):
            with self.subTest(more=more), self.assertRaises(openai.BadRequestError) as caught:
                ask("grok", **more)
            self.assertEqual(caught.exception.response.json()["code"], "Client specified an invalid argument")
        self.assertTrue(ask("grok", model="grok-4-fast-non-reasoning", stop=["zzz"]).choices)

    def test_a_wrong_key_is_a_wrong_argument(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            ask("grok", api_key="xai-wrong-key-12")
        self.assertTrue(caught.exception.response.json()["error"].startswith("Incorrect API key provided: xai-w"))


class OpenRouter(unittest.TestCase):
    def test_who_answered_and_what_it_cost(self):
        answer = ask("openrouter", extra_body={"reasoning": {"effort": "low"}})
        choice = answer.choices[0]
        self.assertEqual((answer.provider, choice.native_finish_reason), ("Simulated", "completed"))
        self.assertTrue(choice.message.reasoning)
        self.assertEqual(choice.message.reasoning_details[0]["type"], "reasoning.text")
        self.assertGreater(answer.usage.cost, 0)

    def test_an_error_in_an_answer(self):
        answer = ask("openrouter", [{"role": "user", "content": "sim-failed"}])
        self.assertEqual((answer.choices, answer.error["code"]), (None, 502))
        with self.assertRaises(openai.APIError):
            list(ask("openrouter", model="a/m-sim-stream-error", stream=True))

    def test_money(self):
        with self.assertRaises(openai.APIStatusError) as caught:
            ask("openrouter", model="a/m-sim-error-quota")
        self.assertEqual(caught.exception.status_code, 402)


if __name__ == "__main__":
    unittest.main()
