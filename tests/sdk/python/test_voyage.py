"""The official Voyage AI client for Python, unmodified, against the provider simulator.

Started by tests/sdk_providers.rs, which sets BASE_URL, API_KEY and TIGHT_KEY (one request a minute). A model's name
ending in `sim-NAME` chooses a fault.
"""

import os
import unittest

import voyageai
from voyageai import error

BASE_URL = f"{os.environ['BASE_URL']}/voyage/v1"
API_KEY = os.environ["API_KEY"]
TIGHT_KEY = os.environ["TIGHT_KEY"]
MODEL = "voyage-3.5"
RANKER = "rerank-2.5"
DOCUMENTS = ["a poem on rust", "Paris is the capital of France", "bread"]


def client(api_key=API_KEY):
    return voyageai.Client(api_key=api_key, base_url=BASE_URL, timeout=20, max_retries=1)


class Voyage(unittest.TestCase):
    def test_embed(self):
        answer = client().embed(["one", "two"], model=MODEL, input_type="document")
        self.assertEqual([len(one) for one in answer.embeddings], [1024, 1024])
        self.assertGreater(answer.total_tokens, 0)

    def test_embed_of_a_length_and_type(self):
        for dtype, length in (("float", 256), ("int8", 256), ("uint8", 256), ("binary", 32), ("ubinary", 32)):
            answer = client().embed(["one"], model=MODEL, output_dimension=256, output_dtype=dtype)
            self.assertEqual(len(answer.embeddings[0]), length, dtype)

    def test_the_same_text_is_the_same_vector(self):
        one = client().embed(["größe 😀"], model=MODEL, input_type="query").embeddings
        self.assertEqual(one, client().embed(["größe 😀"], model=MODEL, truncation=False).embeddings)

    def test_rerank(self):
        answer = client().rerank("capital of France", DOCUMENTS, model=RANKER, top_k=2)
        self.assertEqual([one.index for one in answer.results][0], 1)
        self.assertEqual((len(answer.results), answer.results[0].document), (2, DOCUMENTS[1]))
        self.assertGreater(answer.results[0].relevance_score, answer.results[1].relevance_score)
        self.assertGreater(answer.total_tokens, 0)

    def test_rerank_all(self):
        answer = client().rerank("capital of France", DOCUMENTS, model=RANKER)
        self.assertEqual(sorted(one.index for one in answer.results), [0, 1, 2])

    def test_every_class_of_error(self):
        for kind, status, model in [
            (error.InvalidRequestError, 400, "voyage-sim-error-400"),
            (error.InvalidRequestError, 400, "no-such-model"),
            (error.MalformedRequestError, 422, "voyage-sim-error-422"),
            (error.RateLimitError, 429, "voyage-sim-error-429"),
            (error.ServerError, 500, "voyage-sim-error-500"),
            (error.ServiceUnavailableError, 503, "voyage-sim-error-503"),
        ]:
            with self.subTest(model=model), self.assertRaises(kind) as caught:
                client().embed(["a"], model=model)
            self.assertEqual(caught.exception.http_status, status)

    def test_wrong_values(self):
        for options in ({"output_dimension": 3}, {"output_dtype": "x"}, {"input_type": "search_query"}):
            with self.subTest(options=options), self.assertRaises(error.InvalidRequestError):
                client().embed(["a"], model=MODEL, **options)

    def test_wrong_key(self):
        with self.assertRaises(error.AuthenticationError):
            client("wrong").embed(["a"], model=MODEL)

    def test_limit(self):
        one = client(TIGHT_KEY)
        one.embed(["a"], model=MODEL)
        with self.assertRaises(error.RateLimitError):
            one.embed(["a"], model=MODEL)


if __name__ == "__main__":
    unittest.main()
