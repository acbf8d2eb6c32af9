"""The official AWS client for Python (Bedrock's Converse API, and its embeddings), unmodified, against the provider simulator.

Started by tests/sdk_providers.rs, which sets BASE_URL, API_KEY and TIGHT_KEY (one request a minute) for keys that are
sent, and AWS_KEY for one that signs. A model's name ending in `sim-NAME` chooses a fault.
"""

import json
import os
import unittest

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

BASE_URL = os.environ["BASE_URL"]
API_KEY = os.environ["API_KEY"]
TIGHT_KEY = os.environ["TIGHT_KEY"]
AWS_KEY = os.environ["AWS_KEY"]
MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
ARN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"
HELLO = [{"role": "user", "content": [{"text": "Say hello."}]}]
PNG = bytes.fromhex("89504e470d0a1a0a")
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
}
TOOLS = {"tools": [{"toolSpec": {"name": "get_weather", "description": "w", "inputSchema": {"json": SCHEMA}}}]}
# Each class of error with a model that causes it.
ERRORS = [
    ("ValidationException", 400, "sim-error-400"),
    ("ValidationException", 400, "no-such-model"),
    ("AccessDeniedException", 403, "sim-error-403"),
    ("ResourceNotFoundException", 404, "sim-error-404"),
    ("ModelTimeoutException", 408, "sim-error-408"),
    ("ModelErrorException", 424, "sim-error-424"),
    ("ThrottlingException", 429, "sim-error-429"),
    ("InternalServerException", 500, "sim-error-500"),
    ("ServiceUnavailableException", 503, "sim-error-503"),
]


def client(key=AWS_KEY):
    """Signs with an access key, or sends a key of Bedrock's own."""
    options = {"retries": {"total_max_attempts": 1}, "read_timeout": 20}
    where = {"region_name": "us-east-1", "endpoint_url": BASE_URL}
    if ":" in key:
        id, secret = key.split(":")
        config = Config(**options)
        return boto3.client(
            "bedrock-runtime", **where, config=config, aws_access_key_id=id, aws_secret_access_key=secret
        )
    # Of itself it sends such a key over TLS only.
    one = boto3.client("bedrock-runtime", **where, config=Config(**options, signature_version=UNSIGNED))

    def add(request, **_):
        request.headers["Authorization"] = f"Bearer {key}"

    one.meta.events.register("before-send.bedrock-runtime", add)
    return one


class Converse(unittest.TestCase):
    def setUp(self):
        self.client = client()

    def converse(self, **options):
        return self.client.converse(**{"modelId": MODEL, "messages": HELLO, **options})

    def events(self, **options):
        return list(self.client.converse_stream(**{"modelId": MODEL, "messages": HELLO, **options})["stream"])

    def test_plain(self):
        config = {"temperature": 0.3, "topP": 0.75, "maxTokens": 500}
        answer = self.converse(inferenceConfig=config, system=[{"text": "Be brief."}])
        self.assertEqual(answer["stopReason"], "end_turn")
        self.assertTrue(answer["output"]["message"]["content"][0]["text"])
        usage = answer["usage"]
        self.assertEqual(usage["totalTokens"], usage["inputTokens"] + usage["outputTokens"])

    def test_names_are_escaped_and_signed(self):
        for model in ("amazon.nova-lite-v1:0", ARN, "a~b_c-d.e"):
            self.assertEqual(self.converse(modelId=model)["stopReason"], "end_turn")

    def test_length_and_stop(self):
        self.assertEqual(self.converse(inferenceConfig={"maxTokens": 3})["stopReason"], "max_tokens")
        self.assertEqual(self.converse(inferenceConfig={"stopSequences": ["simulated"]})["stopReason"], "stop_sequence")

    def test_stream(self):
        events = self.events()
        pieces = [event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event]
        self.assertGreater(len(pieces), 3)
        whole = self.converse()
        self.assertEqual("".join(pieces), whole["output"]["message"]["content"][0]["text"])
        self.assertEqual(events[0]["messageStart"]["role"], "assistant")
        self.assertEqual(events[-2]["messageStop"]["stopReason"], "end_turn")
        self.assertEqual(events[-1]["metadata"]["usage"]["outputTokens"], whole["usage"]["outputTokens"])

    def test_tools(self):
        answer = self.converse(toolConfig=TOOLS)
        self.assertEqual(answer["stopReason"], "tool_use")
        message = answer["output"]["message"]
        call = message["content"][0]["toolUse"]
        self.assertEqual((call["name"], call["input"]), ("get_weather", {"city": "Paris", "days": 7}))
        result = {"toolResult": {"toolUseId": call["toolUseId"], "content": [{"json": {"sky": "rain"}}]}}
        talk = [*HELLO, message, {"role": "user", "content": [result]}]
        answer = self.converse(messages=talk, toolConfig=TOOLS)
        self.assertIn("rain", answer["output"]["message"]["content"][0]["text"])
        with self.assertRaises(ClientError):
            self.converse(messages=talk)

    def test_streamed_tools(self):
        events = self.events(toolConfig={**TOOLS, "toolChoice": {"any": {}}})
        (start,) = [event["contentBlockStart"]["start"]["toolUse"] for event in events if "contentBlockStart" in event]
        self.assertEqual(start["name"], "get_weather")
        parts = [event["contentBlockDelta"]["delta"]["toolUse"] for event in events if "contentBlockDelta" in event]
        self.assertEqual(json.loads("".join(part["input"] for part in parts)), {"city": "Paris", "days": 7})
        self.assertEqual(events[-2]["messageStop"]["stopReason"], "tool_use")

    def test_image_and_document(self):
        image = {"image": {"format": "png", "source": {"bytes": PNG}}}
        document = {"document": {"format": "txt", "name": "notes", "source": {"bytes": b"notes"}}}
        content = [{"text": "What is it?"}, image, document]
        answer = self.converse(messages=[{"role": "user", "content": content}])
        self.assertIn("1 image and 1 file", answer["output"]["message"]["content"][0]["text"])

    def test_thinking(self):
        fields = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
        options = {"additionalModelRequestFields": fields, "inferenceConfig": {"maxTokens": 2000}}
        thought, said = self.converse(**options)["output"]["message"]["content"]
        text = thought["reasoningContent"]["reasoningText"]["text"]
        self.assertTrue(said["text"])
        deltas = [event["contentBlockDelta"]["delta"] for event in self.events(**options) if "contentBlockDelta" in event]
        reasoning = [delta["reasoningContent"] for delta in deltas if "reasoningContent" in delta]
        self.assertEqual("".join(part.get("text", "") for part in reasoning), text)
        self.assertEqual("".join(part.get("signature", "") for part in reasoning)[:4], "EqQB")

    def test_json(self):
        structure = {"jsonSchema": {"schema": json.dumps(SCHEMA), "name": "trip"}}
        answer = self.converse(outputConfig={"textFormat": {"type": "json_schema", "structure": structure}})
        self.assertEqual(set(json.loads(answer["output"]["message"]["content"][0]["text"])), {"city", "days"})

    def test_a_key_of_its_own(self):
        one = client(API_KEY)
        self.assertEqual(one.converse(modelId=MODEL, messages=HELLO)["stopReason"], "end_turn")


class Embeddings(unittest.TestCase):
    def setUp(self):
        self.client = client()

    def invoke(self, model, body):
        answer = self.client.invoke_model(modelId=model, body=json.dumps(body))
        tokens = int(answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-bedrock-input-token-count"])
        return json.loads(answer["body"].read()), tokens

    def test_titan(self):
        for model, more, length in [
            ("amazon.titan-embed-text-v1", {}, 1536),
            ("amazon.titan-embed-text-v2:0", {}, 1024),
            ("amazon.titan-embed-text-v2:0", {"dimensions": 256, "normalize": True, "embeddingTypes": ["float"]}, 256),
        ]:
            answer, tokens = self.invoke(model, {"inputText": "one two", **more})
            self.assertEqual(len(answer["embedding"]), length)
            self.assertEqual(answer["inputTextTokenCount"], tokens)
        for body in ({}, {"inputText": ["a", "b"]}, {"inputText": "a", "dimensions": 7}):
            with self.assertRaises(ClientError) as caught:
                self.invoke("amazon.titan-embed-text-v2:0", body)
            self.assertEqual(caught.exception.response["Error"]["Code"], "ValidationException")

    def test_cohere(self):
        body = {"texts": ["one", "two"], "input_type": "search_query"}
        for model, more, length in [
            ("cohere.embed-english-v3", {"truncate": "END"}, 1024),
            ("cohere.embed-multilingual-v3", {}, 1024),
            ("cohere.embed-v4:0", {"truncate": "RIGHT", "output_dimension": 512}, 512),
        ]:
            answer, tokens = self.invoke(model, {**body, **more})
            self.assertEqual((answer["response_type"], len(answer["embeddings"])), ("embeddings_floats", 2))
            self.assertEqual(len(answer["embeddings"][0]), length)
            self.assertGreater(tokens, 0)
            typed, _ = self.invoke(model, {**body, **more, "embedding_types": ["float", "int8"]})
            self.assertEqual(typed["response_type"], "embeddings_by_type")
            self.assertEqual(typed["embeddings"]["float"], answer["embeddings"])
            self.assertEqual(len(typed["embeddings"]["int8"][0]), length)
        with self.assertRaises(ClientError):
            self.invoke("cohere.embed-english-v3", {**body, "output_dimension": 512})

    def test_models_that_make_none(self):
        with self.assertRaises(ClientError) as caught:
            self.invoke("mistral.mistral-large-2407-v1:0", {"inputText": "a"})
        self.assertEqual(caught.exception.response["Error"]["Code"], "ValidationException")


class Errors(unittest.TestCase):
    def fails(self, one, name, status, model=MODEL, stream=False):
        call = one.converse_stream if stream else one.converse
        with self.assertRaises(ClientError) as caught:
            call(modelId=model, messages=HELLO)
        answer = caught.exception.response
        self.assertEqual(answer["Error"]["Code"], name)
        self.assertEqual(answer["ResponseMetadata"]["HTTPStatusCode"], status)
        self.assertTrue(answer["Error"]["Message"])

    def test_every_class(self):
        one = client()
        for name, status, model in ERRORS:
            with self.subTest(model=model):
                self.fails(one, name, status, model)
                self.fails(one, name, status, model, stream=True)

    def test_in_a_stream(self):
        stream = client().converse_stream(modelId="sim-stream-error", messages=HELLO)["stream"]
        with self.assertRaises(EventStreamError) as caught:
            list(stream)
        self.assertEqual(caught.exception.response["Error"]["Code"], "modelStreamErrorException")

    def test_comments_are_passed_over(self):
        events = list(client().converse_stream(modelId="sim-comments", messages=HELLO)["stream"])
        self.assertIn("metadata", events[-1])

    def test_limit(self):
        one = client(TIGHT_KEY)
        one.converse(modelId=MODEL, messages=HELLO)
        self.fails(one, "ThrottlingException", 429)

    def test_wrong_keys(self):
        id, secret = AWS_KEY.split(":")
        self.fails(client(f"{id}:{secret}x"), "InvalidSignatureException", 403)
        self.fails(client(f"{id}x:{secret}"), "UnrecognizedClientException", 403)
        self.fails(client("wrong"), "AccessDeniedException", 403)


if __name__ == "__main__":
    unittest.main()
