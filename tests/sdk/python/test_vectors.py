"""Official clients, unmodified, that embed and rank, each to each provider that can, through a running gateway.

Started by tests/sdk.rs, which sets GATEWAY (the gateway's address), SIMULATOR (the providers') and API_KEY. What comes
back is compared with what the same provider answers to its own client.
"""

import json
import os
import unittest

import boto3
import cohere
import openai
import voyageai
from botocore import UNSIGNED
from botocore.config import Config

GATEWAY = os.environ["GATEWAY"]
SIMULATOR = os.environ["SIMULATOR"]
API_KEY = os.environ["API_KEY"]
TEXTS = ["one", "größe 😀", "three"]
QUERY = "capital of France"
DOCUMENTS = ["a poem on rust", "Paris is the capital of France", "bread"]

OPENAI = openai.OpenAI(base_url=f"http://{GATEWAY}/v1", api_key=API_KEY, max_retries=0, timeout=20)
# Version 1 of Cohere's API ranks at /v1/rerank.
COHERE = cohere.Client(api_key=API_KEY, base_url=f"http://{GATEWAY}", timeout=20)
COHERE_V2 = cohere.ClientV2(api_key=API_KEY, base_url=f"http://{GATEWAY}", timeout=20)
VOYAGE = voyageai.Client(api_key=API_KEY, base_url=f"http://{GATEWAY}/v1", timeout=20, max_retries=1)
OWN_COHERE = cohere.ClientV2(api_key=API_KEY, base_url=f"http://{SIMULATOR}", timeout=20)
OWN_VOYAGE = voyageai.Client(api_key=API_KEY, base_url=f"http://{SIMULATOR}/voyage/v1", timeout=20, max_retries=1)

OWN_BEDROCK = boto3.client(
    "bedrock-runtime",
    region_name="us-east-1",
    endpoint_url=f"http://{SIMULATOR}",
    config=Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1}),
)


def add_key(request, **_):
    request.headers["Authorization"] = f"Bearer {API_KEY}"


# Of itself it sends such a key over TLS only.
OWN_BEDROCK.meta.events.register("before-send.bedrock-runtime", add_key)


def invoke(model, body):
    return json.loads(OWN_BEDROCK.invoke_model(modelId=model, body=json.dumps(body))["body"].read())


def own_vectors(provider, dimensions):
    if provider == "bedrock":
        body = {"texts": TEXTS, "input_type": "search_document", "output_dimension": dimensions}
        return invoke("cohere.embed-v4:0", body)["embeddings"]
    if provider == "voyage":
        return OWN_VOYAGE.embed(TEXTS, model="voyage-3.5", output_dimension=dimensions).embeddings
    options = {"input_type": "search_document", "embedding_types": ["float"], "output_dimension": dimensions}
    return OWN_COHERE.embed(model="embed-v4.0", texts=TEXTS, **options).embeddings.float_


EMBEDDERS = {
    "cohere": "cohere:embed-v4.0",
    "voyage": "voyage:voyage-3.5",
    "bedrock": "bedrock:cohere.embed-v4:0",
}
RANKERS = {"cohere": "cohere:rerank-v3.5", "voyage": "voyage:rerank-2.5"}


class Embeddings(unittest.TestCase):
    def near(self, got, wanted):
        self.assertEqual(len(got), len(wanted))
        for one, other in zip(got, wanted):
            self.assertEqual(len(one), len(other))
            self.assertTrue(all(abs(x - y) < 1e-6 for x, y in zip(one, other)))

    def test_openais_client(self):
        for provider, model in EMBEDDERS.items():
            for options in ({}, {"encoding_format": "float"}):
                with self.subTest(provider=provider, options=options):
                    answer = OPENAI.embeddings.create(model=model, input=TEXTS, dimensions=256, **options)
                    self.near([one.embedding for one in answer.data], own_vectors(provider, 256))
                    self.assertEqual([one.index for one in answer.data], [0, 1, 2])
                    self.assertGreater(answer.usage.prompt_tokens, 0)
                    self.assertEqual(answer.usage.prompt_tokens, answer.usage.total_tokens)

    def test_openais_client_with_more(self):
        for provider, model in EMBEDDERS.items():
            more = {"input_type": "query", "truncation": False}
            self.assertEqual(len(OPENAI.embeddings.create(model=model, input="a", extra_body=more).data), 1, provider)

    def test_openais_client_with_titan(self):
        for model, dimensions in (("amazon.titan-embed-text-v1", None), ("amazon.titan-embed-text-v2:0", 256)):
            options = {"dimensions": dimensions} if dimensions else {}
            own = invoke(model, {"inputText": TEXTS[1], **options})
            for more in ({}, {"encoding_format": "float"}):
                with self.subTest(model=model, more=more):
                    answer = OPENAI.embeddings.create(model=f"bedrock:{model}", input=TEXTS[1], **options, **more)
                    self.near([one.embedding for one in answer.data], [own["embedding"]])
                    self.assertEqual(answer.usage.prompt_tokens, own["inputTextTokenCount"])
            with self.assertRaises(openai.BadRequestError) as raised:
                OPENAI.embeddings.create(model=f"bedrock:{model}", input=TEXTS)
            self.assertEqual(raised.exception.param, "input")

    def test_voyages_client(self):
        for provider, model in EMBEDDERS.items():
            with self.subTest(provider=provider):
                answer = VOYAGE.embed(TEXTS, model=model, input_type="document", output_dimension=256)
                self.near([list(one) for one in answer.embeddings], own_vectors(provider, 256))
                self.assertGreater(answer.total_tokens, 0)

    def test_coheres_client(self):
        others = {"openai": "openai:text-embedding-3-small", "gemini": "gemini:gemini-embedding-001"}
        for provider, model in {**EMBEDDERS, **others}.items():
            with self.subTest(provider=provider):
                options = {"input_type": "search_document", "embedding_types": ["float"], "output_dimension": 256}
                answer = COHERE_V2.embed(model=model, texts=TEXTS, **options)
                if provider in EMBEDDERS:
                    wanted = own_vectors(provider, 256)
                else:
                    whole = OPENAI.embeddings.create(model=model, input=TEXTS, dimensions=256)
                    wanted = [one.embedding for one in whole.data]
                self.near(answer.embeddings.float_, wanted)
                self.assertEqual((answer.texts, answer.response_type), (TEXTS, "embeddings_by_type"))
                self.assertGreater(answer.meta.billed_units.input_tokens, 0)
        for provider in ("cohere", "voyage"):
            with self.subTest(provider=provider):
                model = EMBEDDERS[provider]
                answer = COHERE_V2.embed(model=model, texts=["a"], input_type="search_query", embedding_types=["int8"])
                self.assertIsInstance(answer.embeddings.int8[0][0], int)

    def test_coheres_errors(self):
        once = {"input_type": "search_query", "request_options": {"max_retries": 0}}
        for provider in ("cohere", "voyage"):
            for status, error in ((400, cohere.BadRequestError), (429, cohere.TooManyRequestsError)):
                with self.subTest(provider=provider), self.assertRaises(error):
                    COHERE_V2.embed(model=f"{provider}:sim-error-{status}", texts=["a"], **once)
            with self.assertRaises(cohere.NotFoundError):
                COHERE_V2.embed(model=f"{provider}:no-such-model", texts=["a"], **once)
        types = ["float", "int8"]
        with self.assertRaises(cohere.BadRequestError) as raised:
            COHERE_V2.embed(model=EMBEDDERS["voyage"], texts=["a"], embedding_types=types, **once)
        self.assertIn("embedding_types", raised.exception.body["message"])

    def test_errors(self):
        for provider, model in EMBEDDERS.items():
            # A model's name decides how Bedrock is asked.
            name = "cohere.embed-" if provider == "bedrock" else ""
            for status, error in ((400, openai.BadRequestError), (429, openai.RateLimitError)):
                with self.subTest(provider=provider), self.assertRaises(error):
                    OPENAI.embeddings.create(model=f"{provider}:{name}sim-error-{status}", input="a")
            with self.assertRaises(openai.NotFoundError) as raised:
                OPENAI.embeddings.create(model=f"{provider}:{name}no-such-model", input="a")
            self.assertEqual(raised.exception.code, "model_not_found")
            with self.assertRaises(openai.BadRequestError) as raised:
                OPENAI.embeddings.create(model=model, input=[1, 2, 3])
            self.assertEqual(raised.exception.param, "input")


class Ranks(unittest.TestCase):
    def test_coheres_client(self):
        own = OWN_COHERE.rerank(model="rerank-v3.5", query=QUERY, documents=DOCUMENTS, top_n=2).results
        wanted = [(one.index, one.relevance_score) for one in own]
        for provider, model in RANKERS.items():
            with self.subTest(provider=provider):
                answer = COHERE.rerank(model=model, query=QUERY, documents=DOCUMENTS, top_n=2, return_documents=True)
                self.assertEqual([(one.index, one.relevance_score) for one in answer.results], wanted)
                self.assertEqual(answer.results[0].document.text, DOCUMENTS[1])
        self.assertEqual(
            COHERE.rerank(model=RANKERS["cohere"], query=QUERY, documents=DOCUMENTS).meta.billed_units.search_units, 1
        )

    def test_coheres_client_of_version_2(self):
        own = OWN_COHERE.rerank(model="rerank-v3.5", query=QUERY, documents=DOCUMENTS, top_n=2).results
        for provider, model in RANKERS.items():
            with self.subTest(provider=provider):
                answer = COHERE_V2.rerank(model=model, query=QUERY, documents=DOCUMENTS, top_n=2)
                self.assertEqual(answer.results, own)
                units = answer.meta.billed_units
                self.assertGreater(units.search_units or units.input_tokens, 0)

    def test_voyages_client(self):
        own = OWN_VOYAGE.rerank(QUERY, DOCUMENTS, model="rerank-2.5", top_k=2).results
        for provider, model in RANKERS.items():
            with self.subTest(provider=provider):
                answer = VOYAGE.rerank(QUERY, DOCUMENTS, model=model, top_k=2)
                self.assertEqual(answer.results, own)
                self.assertGreater(answer.total_tokens, 0)

    def test_errors(self):
        for provider in RANKERS:
            with self.subTest(provider=provider), self.assertRaises(cohere.NotFoundError):
                COHERE.rerank(model=f"{provider}:no-such-model", query=QUERY, documents=DOCUMENTS)


if __name__ == "__main__":
    unittest.main()
