"""Baseline of the talk: Faust sends every event to a REST service that cleans, lemmatises, vectorises and scores it.

``python -m local.bench.stream.talk_design JSON serve PORT`` is the service (uvicorn, one process),
``… JSON worker …`` the Faust app, which keeps its connection to the service alive.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import aiohttp
import faust
import orjson
import skops.io
import spacy
from fastapi import FastAPI, Request, Response
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from moderation.adapters.kafka.connection import KafkaConnection
from stream.faust_app import broker_options


def lemmatizer() -> Any:
    """Return a function from a text to its lemmas, separated by blanks."""
    nlp = spacy.blank("en")
    nlp.add_pipe("lemmatizer", config={"mode": "lookup"})
    nlp.initialize()
    return lambda text: " ".join(token.lemma_ for token in nlp(text))


def fit(texts: list[str], labels: list[int]) -> Pipeline:
    """Fit the talk's model: TF-IDF and logistic regression over lemmas."""
    words = lemmatizer()
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(max_iter=1_000))
    return model.fit([words(text) for text in texts], labels)


def service(model_file: str) -> FastAPI:
    """Return the REST service."""
    model = skops.io.load(Path(model_file), trusted=["scipy.sparse._csr.csr_matrix"])
    words = lemmatizer()
    app = FastAPI()

    @app.post("/predict")
    async def predict(request: Request) -> Response:
        body = orjson.loads(await request.body())["body"]
        return Response(orjson.dumps({"probability": float(model.predict_proba([words(body)])[0, 1])}))

    return app


def new_app(bootstrap: str, topic: str, prefix: str, group: str, url: str, **_: object) -> faust.App:
    """Return the Faust app."""
    app = faust.App(
        group,
        **broker_options(KafkaConnection.plaintext(bootstrap)),
        value_serializer="raw",
        key_serializer="raw",
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
    )
    decisions, alerts = app.topic(prefix + "decisions"), app.topic(prefix + "alerts")

    @app.agent(app.topic(topic))
    async def decide(stream: Any) -> None:
        async with aiohttp.ClientSession() as session:
            async for value in stream:
                fields = orjson.loads(value)
                async with session.post(f"{url}/predict", data=orjson.dumps({"body": fields["body"]})) as answer:
                    probability = orjson.loads(await answer.read())["probability"]
                key = fields["comment_id"].encode()
                decision = orjson.dumps({"comment_id": fields["comment_id"], "probability": probability})
                await decisions.send(key=key, value=decision)
                if probability > 0.5:
                    await alerts.send(key=key, value=decision)

    return app


if __name__ == "__main__":
    options = json.loads(sys.argv.pop(1))
    if sys.argv[1] == "serve":
        import uvicorn

        app = service(options["talk_model"])
        uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), loop="uvloop", log_level="warning")
    else:
        new_app(**options).main()
