#!/usr/bin/env python3
"""Recomputes every figure that RESULTS.md publishes from runs/*/result.json and runs/*/predictions.npz.

Prints the tables; with --check compares them with those of RESULTS.md, and exits with 1 if they
differ; with --write puts them there. Needs numpy. A run is named RECIPE-sSEED.
"""
import hashlib, json, pathlib, sys

import numpy as np

HERE = pathlib.Path(__file__).parent
BEGIN, END = "<!-- figures.py writes this -->\n", "<!-- to here -->\n"
BASELINE, METHOD, RESAMPLES = "L5", "R-A05-B08", 10_000


def read(folder):
    """Returns the metrics of a run, and which validation images its deepest probe and its kNN have right.

    Raises AssertionError if the predictions are not those that the result names, or give other figures.
    """
    result = read_result(folder)
    data = (folder / "predictions.npz").read_bytes()
    assert hashlib.sha256(data).hexdigest() == result["predictions"]["sha256"], f"{folder}: other predictions"
    p, m = np.load(folder / "predictions.npz"), result["metrics"]
    for depth, row in zip(m["depths"], p["probe_rank"]):
        assert abs(100 * (row == 0).mean() - depth["top1"]) < 1e-9, f"{folder}: top-1 at depth {depth['depth']}"
    knn = p["knn_class"][-1] == p["labels"]
    assert abs(100 * knn.mean() - m["knn_top1"]) < 1e-9, f"{folder}: kNN"
    return m, p["probe_class"][-1] == p["labels"], knn


def read_result(folder):
    return json.loads((folder / "result.json").read_text())


def search():
    """The table of the search, whose runs are named RECIPE-lrRATE-emaMOMENTUM-sSEED, with seeds from 100 up."""
    trials, recipes = {}, ["L", "C"]
    for folder in (HERE / "runs").iterdir():
        recipe, *settings, seed = folder.name.rsplit("-", 3)
        if int(seed[1:]) >= 100:
            trials[recipe, *settings] = read(folder)[0]
    best = {recipe: max(t["top1"] for (of, *_), t in trials.items() if of == recipe) for recipe in recipes}
    lines = ["| peak rate | EMA | L: top-1 | L: kNN | C: top-1 | C: kNN |", "|---|---|---|---|---|---|"]
    for rate, momentum in sorted({key[1:] for key in trials}, key=lambda key: (key[0], float(key[1][3:]))):
        cells = []
        for recipe in recipes:
            t = trials.get((recipe, rate, momentum))
            mark = "**" if t and t["top1"] == best[recipe] else ""
            cells += [f"{mark}{t['top1']:.2f}{mark}", f"{t['knn_top1']:.2f}"] if t else ["", ""]
        lines.append(f"| {rate[2:]} | {momentum[3:]} | " + " | ".join(cells) + " |")
    return lines


def interval(a, b):
    """95 % interval of the difference of mean accuracies of two groups, [seed, image], in points.

    Resamples the images, the same for both groups, and the seeds of each, with replacement.
    """
    rng, n = np.random.default_rng(0), a.shape[1]
    differences = np.empty(RESAMPLES)
    for i in range(RESAMPLES):
        weights = np.bincount(rng.integers(n, size=n), minlength=n) / n
        of = [(g @ weights)[rng.integers(len(g), size=len(g))].mean() for g in (a, b)]
        differences[i] = 100 * (of[0] - of[1])
    return np.percentile(differences, [2.5, 97.5])


def difference(a, b):
    low, high = interval(a, b)
    return f"{100 * (a.mean() - b.mean()):+.2f} ({low:+.2f} to {high:+.2f})"


def tables():
    groups = {}
    for folder in sorted((HERE / "runs").iterdir()):
        recipe, seed = folder.name.rsplit("-s", 1)
        if int(seed) < 100:
            groups.setdefault(recipe, []).append(read(folder))
    probe = {g: np.array([r[1] for r in runs], dtype=float) for g, runs in groups.items()}
    knn = {g: np.array([r[2] for r in runs], dtype=float) for g, runs in groups.items()}
    order = sorted(groups, key=lambda g: (g[0] != "L", g != METHOD, g))
    if not groups:
        return "\n".join(search()) + "\n"
    lines = search() + ["", "| recipe | seeds | top-1, deepest probe | s.d. over seeds | untrained | kNN | untrained kNN | probe against L5 | kNN against L5 |",
                        "|---|---|---|---|---|---|---|---|---|"]
    for g in order:
        m = [r[0] for r in groups[g]]
        mean = lambda key: f"{np.mean([x[key] for x in m]):.2f}"
        against = ["", ""] if g == BASELINE else [difference(probe[g], probe[BASELINE]), difference(knn[g], knn[BASELINE])]
        deviation = f"{np.std([x['top1'] for x in m], ddof=1):.2f}" if len(m) > 1 else ""
        lines.append(f"| {g} | {len(m)} | {mean('top1')} | {deviation} | {mean('untrained_top1')} | {mean('knn_top1')} | "
                     f"{mean('untrained_knn_top1')} | {against[0]} | {against[1]} |")
    if METHOD in groups and "L6" in groups:
        lines += ["", f"{METHOD} against L6, at equal FLOPs: probe {difference(probe[METHOD], probe['L6'])}, "
                      f"kNN {difference(knn[METHOD], knn['L6'])} points."]
    return "\n".join(lines) + "\n"


def main():
    page = HERE / "RESULTS.md"
    text, made = page.read_text(), tables()
    if sys.argv[1:] == ["--write"]:
        before, rest = text.split(BEGIN)
        page.write_text(before + BEGIN + made + END + rest.split(END)[1])
    elif sys.argv[1:] == ["--check"]:
        if text.split(BEGIN)[1].split(END)[0] != made:
            sys.exit("RESULTS.md has other figures than the results:\n" + made)
        print(f"the figures are those of {len(list((HERE / 'runs').iterdir()))} results")
    else:
        print(made, end="")


main()
