"""Vectors over HTTP: of texts and files, and in the shape of OpenAI's API."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from tests.server.conftest import Running, film, picture, sound


def test_a_text_and_a_file_as_vectors(client: TestClient, tmp_path: Path) -> None:
    answer = client.post("/v1/embed", json={"texts": ["red", "a blue sea"]}).json()
    assert answer["modality"] == "text"
    (space,) = answer["spaces"]
    assert space["dimensions"] == 32
    np.testing.assert_allclose(np.linalg.norm(space["vectors"], axis=1), 1, rtol=1e-5)
    photo = picture(tmp_path / "a.png", "red").read_bytes()
    answer = client.post("/v1/embed", files={"file": ("a.png", photo)}).json()
    assert answer["modality"] == "image"
    assert np.dot(answer["spaces"][0]["vectors"][0], space["vectors"][0]) > 0.5
    for path, kind in (
        (sound(tmp_path / "a.wav", "red"), "audio"),
        (film(tmp_path / "a.mp4", "red"), "video"),
        (tmp_path / "a.md", "text"),
    ):
        if kind == "text":
            path.write_text("something red")
        answer = client.post("/v1/embed", files={"file": (path.name, path.read_bytes())}).json()
        assert answer["modality"] == kind
        assert np.dot(answer["spaces"][0]["vectors"][0], space["vectors"][0]) > 0.5
    both = client.post("/v1/embed", files={"file": ("a.png", photo)}, data={"texts": "red"})
    assert both.status_code == 422
    bodies: list[dict[str, Any]] = [
        {"texts": []},
        {"texts": ["x"] * 300},
        {"texts": ["x" * 10_001]},
        {"texts": [1]},
    ]
    for body in bodies:
        assert client.post("/v1/embed", json=body).status_code == 422


def test_embeddings_in_the_shape_of_openai(client: TestClient) -> None:
    body = {"input": ["red", "blue"], "model": "fake", "encoding_format": "base64"}
    packed = client.post("/v1/embeddings", json=body).json()
    plain = client.post(
        "/v1/embeddings", json={"input": ["red", "blue"], "model": "default"}
    ).json()
    assert [row["index"] for row in packed["data"]] == [0, 1]
    for row, other in zip(packed["data"], plain["data"], strict=True):
        vector = np.frombuffer(base64.b64decode(row["embedding"]), dtype="<f4")
        np.testing.assert_array_equal(vector, np.float32(other["embedding"]))
    assert client.post("/v1/embeddings", json={"input": "x", "model": "gpt"}).status_code == 404
    mistakes: list[dict[str, Any]] = [
        {"input": []},
        {"input": [1]},
        {"input": "x", "dimensions": 7},
    ]
    for wrong in mistakes:
        assert client.post("/v1/embeddings", json=wrong).status_code == 422


def test_openai_clients_are_understood(running: Running) -> None:
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=f"{running.address}/v1", api_key="none") as client:
        answer = client.embeddings.create(model="fake", input=["red", "a blue sea"])
        assert [len(row.embedding) for row in answer.data] == [32, 32]
        assert answer.usage.total_tokens == 4
        plain = client.embeddings.create(model="default", input="red", encoding_format="float")
        assert plain.data[0].embedding == pytest.approx(answer.data[0].embedding)
        with pytest.raises(openai.NotFoundError, match="unknown model; use `fake` or `default`"):
            client.embeddings.create(model="text-embedding-4", input="x")
        usual = client.embeddings.create(model="text-embedding-3-small", input="red")
        assert (usual.model, usual.data[0].embedding) == ("fake", answer.data[0].embedding)
        assert "text-embedding-3-small" in {one.id for one in client.models.list()}
