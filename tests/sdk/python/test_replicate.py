"""Replicate's official client for Python, unmodified, against the provider simulator.

Started by tests/sdk_providers.rs, which sets BASE_URL, API_KEY and TIGHT_KEY (a request a minute).
"""

import os
import unittest

from replicate.client import Client
from replicate.exceptions import ModelError, ReplicateError

BASE_URL = os.environ["BASE_URL"]
API_KEY = os.environ["API_KEY"]
TIGHT_KEY = os.environ["TIGHT_KEY"]
LLAMA = "meta/meta-llama-3-70b-instruct"
HELLO = {"prompt": "Say hello.", "system_prompt": "Be brief.", "max_tokens": 20}


def client(key=API_KEY):
    return Client(api_token=key, base_url=BASE_URL)


class Predictions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.replicate = client()

    def test_run_waits_for_the_output(self):
        output = self.replicate.run(LLAMA, input=HELLO)
        self.assertGreater(len(output), 1)
        self.assertTrue("".join(output).startswith("This answer comes from"), output)

    def test_a_prediction_that_is_not_waited_for_is_polled(self):
        prediction = self.replicate.models.predictions.create(LLAMA, input=HELLO)
        self.assertEqual((prediction.status, prediction.output), ("starting", None))
        self.replicate.poll_interval = 0.01
        prediction.wait()
        self.assertEqual(prediction.status, "succeeded")
        self.assertEqual(prediction.metrics["output_token_count"], 20)
        self.assertEqual(prediction.metrics["input_token_count"], 4)

    def test_one_that_takes_longer_than_the_wait(self):
        self.assertTrue(self.replicate.run("me/model-cold", input=HELLO))

    def test_a_version(self):
        prediction = self.replicate.predictions.create(version="5c7d5dc6dd8bf75c", input=HELLO)
        self.assertEqual(prediction.status, "starting")

    def test_stream(self):
        events = list(self.replicate.stream(LLAMA, input=HELLO))
        self.assertEqual(events[-1].event.value, "done")
        text = "".join(str(event) for event in events)
        self.assertEqual(text, "".join(self.replicate.run(LLAMA, input=HELLO)))

    def test_a_stream_of_a_prediction_that_fails(self):
        with self.assertRaises(RuntimeError) as raised:
            list(self.replicate.stream("me/model-fails", input=HELLO))
        self.assertIn("out of memory", str(raised.exception))

    def test_a_model_without_streams(self):
        with self.assertRaises(ReplicateError) as raised:
            list(self.replicate.stream("me/model-unstreamed", input=HELLO))
        self.assertIn("does not support streaming", str(raised.exception))

    def test_cancel(self):
        prediction = self.replicate.models.predictions.create(LLAMA, input=HELLO)
        prediction.cancel()
        self.assertEqual((prediction.status, prediction.output), ("canceled", None))

    def test_failures(self):
        for model, said in [("me/model-fails", "out of memory"), ("me/model-sensitive", "flagged as sensitive")]:
            with self.assertRaises(ModelError) as raised:
                self.replicate.run(model, input=HELLO)
            self.assertIn(said, str(raised.exception))

    def test_errors(self):
        for model, input, status in [
            (LLAMA, {}, 422),
            ("meta/no-such-model", HELLO, 404),
            ("meta/sim-error-400", HELLO, 400),
            ("meta/sim-error-quota", HELLO, 402),
        ]:
            with self.assertRaises(ReplicateError) as raised:
                self.replicate.run(model, input=input)
            self.assertEqual(raised.exception.status, status, model)
            self.assertTrue(raised.exception.detail)

    def test_a_wrong_key(self):
        with self.assertRaises(ReplicateError) as raised:
            client("wrong").run(LLAMA, input=HELLO)
        self.assertEqual(raised.exception.status, 401)


if __name__ == "__main__":
    unittest.main()
