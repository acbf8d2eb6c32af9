"""The official Together client for Python, unmodified, against the provider simulator.

Started by tests/sdk_providers.rs, which sets BASE_URL, API_KEY and TIGHT_KEY (one request a minute). A model's name
ending in `sim-NAME` chooses a fault.
"""

import unittest

import together
from chat_cases import ChatCases, ErrorCases


class Together:
    sdk, make, path = together, together.Together, "/together"
    model = "meta-llama/Llama-3.3-70B-Instruct-Turbo"


class Chat(Together, ChatCases, unittest.TestCase):
    end = "eos"
    thinker, thoughts = "deepseek-ai/DeepSeek-R1", "reasoning"

    def test_every_chunk_says_who_speaks(self):
        chunks = self.ask(stream=True)
        self.assertEqual({chunk.choices[0].delta.role for chunk in chunks}, {"assistant"})

    def test_embeddings(self):
        answer = self.client().embeddings.create(model="BAAI/bge-base-en-v1.5", input=["one", "two"])
        self.assertEqual([one.index for one in answer.data], [0, 1])


class Errors(Together, ErrorCases, unittest.TestCase):
    left = "x-ratelimit-remaining"


if __name__ == "__main__":
    unittest.main()
