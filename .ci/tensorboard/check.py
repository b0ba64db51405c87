"""Reads the runs of a bucket in a folder as TensorBoard does, by its own loader and by its server with the fast one, and
holds what it shows to the run's own lines and results.

Usage: python check.py BUCKET, with the package tensorboard of PyPI.
"""

import glob
import json
import os
import socket
import struct
import subprocess
import sys
import time
import urllib.parse
import urllib.request

from tensorboard.backend.event_processing import event_accumulator


def lines(run, name):
    """The lines of a file of metrics/ by phase and step; of those that were computed twice, the newest attempt's."""
    order = {}
    for path in glob.glob(f"{run}/metrics/attempt-*-000001.jsonl"):
        attempt = os.path.basename(path)[len("attempt-") : -len("-000001.jsonl")]
        order[attempt] = json.loads(open(path).readline())["time"]
    merged = {}
    for path in sorted(glob.glob(f"{run}/metrics/{name}-*.jsonl"), key=lambda p: (order[os.path.basename(p)[len(name) + 1 : -len("-000001.jsonl")]], p)):
        for line in map(json.loads, open(path)):
            merged[line.get("phase", "pretrain"), line["step"]] = line
    return merged


def single(value):
    """As TensorBoard keeps a figure."""
    return struct.unpack("f", struct.pack("f", value))[0]


def check_loader(run):
    """One run, read by TensorBoard's loader."""
    result = json.load(open(f"{run}/result.json"))
    steps = [l for _, l in sorted(lines(run, "steps").items())]
    pretraining = [l for l in steps if l["phase"] == "pretrain"]
    end = result["metrics"]["updates"]  # the steps of the probe count on
    probing = [l | {"step": end + l["step"]} for l in steps if l["phase"] == "probe"]
    want = {"profile/probe_top1_by_depth": {d["depth"]: d["top1"] for d in result["metrics"]["depths"]}}
    want["result/probe_top1"] = {max(l["step"] for l in pretraining + probing) + 1: result["metrics"]["top1"]}
    for group, of_phase in ("1_train", pretraining), ("3_probe", probing):
        want[f"{group}/loss"] = {l["step"]: l["loss"] for l in of_phase}
        want[f"{group}/learning_rate"] = {l["step"]: l["lr"] for l in of_phase}
    health = list(lines(run, "health").values())
    for i, depth in enumerate(result["recipe"]["Depths"]):
        want[f"feature_std/depth_{depth:02d}"] = {l["step"]: l["feature_std"][i] for l in health}
    want["2_eval/probe_top1"] = {l["step"]: l["probe_top1"] for l in lines(run, "eval").values()}
    acc = event_accumulator.EventAccumulator(f"{run}/metrics", size_guidance={"scalars": 0, "images": 0})
    acc.Reload()
    if "pictures" in result:
        for name in "components", "neighbours":
            (picture,) = acc.Images(f"pictures/{name}")
            assert picture.encoded_image_string == open(f"{run}/{name}.jpg", "rb").read() and picture.width == result["pictures"][name]["width"], run
    figures = 0
    for tag, points in want.items():
        got = [(e.step, e.value) for e in acc.Scalars(tag)]
        assert got == [(s, single(v)) for s, v in sorted(points.items())], f"{run} {tag}: {got}, want {points}"
        figures += len(got)
    if len(result["recipe"]["Depths"]) > 1:
        pictures = acc.Images("error/table")
        epochs = [l["step"] for l in health if l["step"] > 0]
        assert [p.step for p in pictures] == sorted(epochs), f"{run}: pictures of {[p.step for p in pictures]}, want {epochs}"
        assert all(p.encoded_image_string[:4] == b"\x89PNG" and p.width == p.height > 400 for p in pictures), run
    return figures


class Server:
    """TensorBoard, as a user starts it."""

    def __init__(self, logdir):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tensorboard.main", "--logdir", logdir, "--port", str(self.port), "--host", "127.0.0.1"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def get(self, path, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/data/{path}", data=body and json.dumps(body).encode(), headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def json(self, path, body=None):
        return json.loads(self.get(path, body))

    def wait(self, runs):
        """Waits until it has found all runs. Each is one entry."""
        end = time.time() + 180
        while True:
            try:
                if (found := set(self.json("runs"))) >= runs:
                    assert all(entry.count("/") == 1 for entry in found), found
                    return
            except OSError:
                pass
            assert time.time() < end and self.process.poll() is None, "TensorBoard does not show the runs"
            time.sleep(0.5)


def check_server(bucket, runs):
    """What a browser is told: every run with its figures, pictures and settings."""
    with Server(f"{bucket}/runs") as server:
        server.wait({f"{name}/metrics" for name in runs})
        scalars, images = server.json("plugin/scalars/tags"), server.json("plugin/images/tags")
        experiment = server.json("plugin/hparams/experiment", {"experimentName": ""})
        groups = server.json("plugin/hparams/session_groups", {
            "experimentName": "", "allowedStatuses": ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"],
            "colParams": [{"metric": m["name"]} for m in experiment["metricInfos"]], "startIndex": 0, "sliceSize": 1000,
        })["sessionGroups"]
        sessions = {s["name"]: (g["hparams"], s) for g in groups for s in g["sessions"]}
        for name in runs:
            result = json.load(open(f"{bucket}/runs/{name}/result.json"))
            assert {"1_train/loss", "3_probe/loss"} <= scalars[f"{name}/metrics"].keys(), name
            if len(result["recipe"]["Depths"]) > 1:
                assert "error/table" in images[f"{name}/metrics"], name
                query = urllib.parse.urlencode({"run": f"{name}/metrics", "tag": "error/table", "sample": 0})
                picture = server.get("plugin/images/individualImage?" + server.json(f"plugin/images/images?{query}")[-1]["query"])
                assert picture[:4] == b"\x89PNG", name
            settings, session = sessions[f"{name}/metrics"]
            assert session["status"] == "STATUS_SUCCESS", (name, session["status"])
            assert settings["seed"] == result["recipe"]["Seed"] and settings["peak_lr"] == result["recipe"]["PeakLR"], (name, settings)
            top1 = [m["value"] for m in session["metricValues"] if m["name"]["tag"] == "result/probe_top1"]
            assert top1 == [single(result["metrics"]["top1"])], (name, top1)
        return len(experiment["hparamInfos"])


bucket = sys.argv[1]
finished = sorted(os.path.basename(os.path.dirname(p)) for p in glob.glob(f"{bucket}/runs/*/result.json"))
assert finished, "no finished run"
figures = sum(check_loader(f"{bucket}/runs/{name}") for name in finished)
print(f"TensorBoard reads {len(finished)} runs: {figures} figures as the lines have them, {check_server(bucket, finished)} settings")
