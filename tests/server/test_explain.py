"""Where in a picture and when in a sound words are met, over HTTP."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient


def asset_of(client: TestClient, name: str) -> int:
    query = {"text": "red", "where": f"name = {name}"}
    (hit,) = client.post("/v1/search", json=query).json()["hits"]
    return int(hit["asset_id"])


def explained(client: TestClient, name: str, **asked: Any) -> dict[str, Any]:
    answer = client.get(f"/v1/assets/{asset_of(client, name)}/explain", params=asked)
    assert answer.status_code == 200, answer.text
    assert "max-age" in answer.headers["cache-control"]
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize(("text", "left"), [("red", True), ("white", False), (["red"], True)])
def test_the_patches_that_show_it(client: TestClient, text: Any, left: bool) -> None:
    patches = np.array(explained(client, "flag.png", text=text)["patches"])
    assert patches.shape == (4, 4)
    assert bool(patches[:, :2].min() > patches[:, 2:].max()) is left
    assert patches.max() == 1.0


def test_the_steps_in_which_it_is_heard(client: TestClient) -> None:
    whole = explained(client, "flute.wav", text="cyan")
    assert len(whole["steps"]) * whole["step_s"] == 8.0
    assert max(whole["steps"][:3]) < min(whole["steps"][5:])
    part = explained(client, "flute.wav", text="purple", start_s=2.0, stop_s=6.0)
    assert part["start_s"] == 2.0
    assert part["steps"][0] > part["steps"][-1]
    assert explained(client, "siren.wav", text="red", start_s=0.0, stop_s=1.0)["steps"] == []


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({}, 422),
        ({"text": ["red"] * 9}, 422),
        ({"text": "x" * 1001}, 422),
        ({"text": "red", "start_s": 3, "stop_s": 2}, 422),
        ({"text": "red", "start_s": -1}, 422),
    ],
)
def test_what_is_refused(client: TestClient, asked: dict[str, Any], status: int) -> None:
    path = f"/v1/assets/{asset_of(client, 'flute.wav')}/explain"
    assert client.get(path, params=asked).status_code == status
    assert client.get("/v1/assets/987654321/explain", params={"text": "red"}).status_code == 404
    video = f"/v1/assets/{asset_of(client, 'day.mp4')}/explain"
    assert client.get(video, params={"text": "red"}).json()["error"]["code"] == "no_place"
