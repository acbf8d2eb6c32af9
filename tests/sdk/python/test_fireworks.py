"""The official Fireworks client for Python, unmodified, against the provider simulator.

Started by tests/sdk_providers.rs, which sets BASE_URL, API_KEY and TIGHT_KEY (one request a minute). A model's name
ending in `sim-NAME` chooses a fault.
"""

import unittest

import fireworks
from chat_cases import ChatCases, ErrorCases


class Fireworks:
    sdk, make, path = fireworks, fireworks.Fireworks, "/fireworks/inference"
    model = "accounts/fireworks/models/llama-v3p3-70b-instruct"


class Chat(Fireworks, ChatCases, unittest.TestCase):
    end = "stop"
    thinker, thoughts = "accounts/fireworks/models/deepseek-r1", "reasoning_content"


class Errors(Fireworks, ErrorCases, unittest.TestCase):
    left = "x-ratelimit-remaining-requests"

    def test_what_it_does_not_know(self):
        with self.assertRaises(fireworks.BadRequestError) as caught:
            self.ask(extra_body={"store": True})
        self.assertIn("Extra inputs are not permitted, field: 'store', value: true", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
