#!/usr/bin/env python3
"""Recomputes what RESULTS.md and the README of the project publish, from runs/*/result.json and runs/*/predictions.npz.

Prints the tables; with --check compares them with those of RESULTS.md, and exits with 1 if they
differ; with --write puts them there. Needs numpy and scipy. A run is named RECIPE-sSEED.
"""
import hashlib, json, pathlib, sys

import numpy as np
from scipy import stats

HERE = pathlib.Path(__file__).parent
BEGIN, END = "<!-- figures.py writes this -->\n", "<!-- to here -->\n"
BASELINE, EQUAL_FLOPS, METHOD, RESAMPLES = "L5", "L6", "R-A05-B08", 10_000


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


def corrected(a, b):
    """The interval with the corrections for few seeds of the report: see job/report/paired/groups.go."""
    rng, n = np.random.default_rng(0), a.shape[1]
    by_image = a.mean(0) - b.mean(0)
    residual = lambda g: ((g - g.mean(1, keepdims=True) - g.mean(0) + g.mean()) ** 2).sum() / (len(g) - 1) / (n - 1)
    scale = np.sqrt(max(0, by_image.var(ddof=1) - residual(a) / len(a) - residual(b) / len(b)) / by_image.var(ddof=1))
    u, v = (g.mean(1).var(ddof=1) / len(g) for g in (a, b))
    freedom = (u + v) ** 2 / (u**2 / (len(a) - 1) + v**2 / (len(b) - 1))
    wide = stats.t.ppf(0.975, freedom) / stats.norm.ppf(0.975)
    seeds = [wide * np.sqrt(len(g) / (len(g) - 1)) * (g.mean(1) - g.mean()) for g in (a, b)]
    differences = np.empty(RESAMPLES)
    for i in range(RESAMPLES):
        images = by_image[rng.integers(n, size=n)].mean() - by_image.mean()
        of = [s[rng.integers(len(s), size=len(s))].mean() for s in seeds]
        differences[i] = 100 * (by_image.mean() + scale * images + of[0] - of[1])
    return np.percentile(differences, [2.5, 97.5])


def both(a, b):
    """The difference with its interval, and the interval with the report's corrections."""
    low, high = interval(a, b)
    return f"{100 * (a.mean() - b.mean()):+.2f} ({low:+.2f} to {high:+.2f})", "{:+.1f} to {:+.1f}".format(*corrected(a, b))


def groups():
    """The runs of each recipe with the seeds below 100: what read returns of each, by seed."""
    of = {}
    for folder in sorted((HERE / "runs").iterdir()):
        recipe, seed = folder.name.rsplit("-s", 1)
        if int(seed) < 100:
            of.setdefault(recipe, []).append(read(folder))
    return of


def right(runs, measure):
    """[seed, image]: 1 where a run has an image right, by probe (1) or kNN (2)."""
    return np.array([r[measure] for r in runs], dtype=float)


def final(of):
    """The table of the final runs."""
    lines = ["| recipe | seeds | top-1, deepest probe | s.d. over seeds | untrained | kNN | untrained kNN "
             "| probe against L5 | corrected | kNN against L5 | corrected |", "|---|---|---|---|---|---|---|---|---|---|---|"]
    for g in sorted(of, key=lambda g: (g[0] != "L", g != METHOD, g)):
        m = [r[0] for r in of[g]]
        mean = lambda key: f"{np.mean([x[key] for x in m]):.2f}"
        against = [""] * 4 if g == BASELINE else [
            cell for by in (1, 2) for cell in both(right(of[g], by), right(of[BASELINE], by))]
        deviation = f"{np.std([x['top1'] for x in m], ddof=1):.2f}" if len(m) > 1 else ""
        lines.append(f"| {g} | {len(m)} | {mean('top1')} | {deviation} | {mean('untrained_top1')} | {mean('knn_top1')} | "
                     f"{mean('untrained_knn_top1')} | " + " | ".join(against) + " |")
    return lines


def answer(of):
    """The answer to the question, which the README of the project has, too."""
    probe = {g: right(of[g], 1) for g in (BASELINE, EQUAL_FLOPS, METHOD)}
    top1 = {g: f"{100 * p.mean():.2f} %" for g, p in probe.items()}
    plain, careful = zip(*(both(probe[METHOD], probe[g]) for g in (BASELINE, EQUAL_FLOPS)))
    return (f"Deepest probe, {len(of[METHOD])} seeds: I-JEPA {top1[BASELINE]}, with a sixth epoch for equal FLOPs {top1[EQUAL_FLOPS]}, "
            f"cI-JEPA {top1[METHOD]}. The difference is {plain[0]} points, at equal FLOPs {plain[1]}; "
            f"with the report's correction for few seeds the intervals are {careful[0]} and {careful[1]}.")


def made(of):
    return "\n".join([answer(of), "", *final(of), "", *search()]) + "\n"


def main():
    of, page, front = groups(), HERE / "RESULTS.md", HERE.parent.parent / "README.md"
    text, new = page.read_text(), made(of)
    if sys.argv[1:] == ["--write"]:
        before, rest = text.split(BEGIN)
        page.write_text(before + BEGIN + new + END + rest.split(END)[1])
    elif sys.argv[1:] == ["--check"]:
        if text.split(BEGIN)[1].split(END)[0] != new:
            sys.exit("RESULTS.md has other figures than the results:\n" + new)
        if answer(of) not in " ".join(front.read_text().split()):
            sys.exit("README.md lacks the answer:\n" + answer(of))
        print(f"the figures are those of {len(list((HERE / 'runs').iterdir()))} results")
    else:
        print(new, end="")


main()
