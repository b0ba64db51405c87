"""The figures that scipy and statsmodels give for what job/report/paired computes. golden.py FILE writes them; golden.py --check
FILE computes them again and fails if the file has others."""
import json
import math
import sys

import numpy
import pandas
import scipy.stats
import statsmodels.formula.api
import statsmodels.stats.anova
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.power import normal_sample_size_one_tail
from statsmodels.stats.proportion import proportion_confint

RESAMPLES = 40_000


def table(both, first, second, neither):
    """McNemar's exact test, and Newcombe's interval (Statistics in Medicine 1998, method 10) from Wilson's intervals."""
    n, unlike = both + first + second + neither, first + second
    p = float(mcnemar([[both, first], [second, neither]], exact=True).pvalue)
    if unlike:
        again = scipy.stats.binomtest(first, unlike).pvalue
        assert math.isclose(again, p, rel_tol=1e-9, abs_tol=1e-300), (again, p)
    shares = [(both + first) / n, (both + second) / n]
    (low_a, high_a), (low_b, high_b) = (proportion_confint(round(share * n), n, method="wilson") for share in shares)
    product = (both + first) * (second + neither) * (both + second) * (first + neither)
    phi = both * neither - first * second
    phi = (max(phi - n / 2, 0) if phi > 0 else phi) / math.sqrt(product) if product else 0.0
    down = numpy.array([shares[0] - low_a, high_b - shares[1]])
    up = numpy.array([high_a - shares[0], shares[1] - low_b])
    like = numpy.array([[1, -phi], [-phi, 1]])
    low, high = (first - second) / n - math.sqrt(down @ like @ down), (first - second) / n + math.sqrt(up @ like @ up)
    return {"both": both, "first": first, "second": second, "neither": neither, "p": p, "low": low, "high": high}


def residual(group):
    """The residual mean square of the two-way analysis of variance."""
    seeds, images = group.shape
    frame = pandas.DataFrame(
        [(group[s, i], s, i) for s in range(seeds) for i in range(images)], columns=["right", "seed", "image"]
    )
    fit = statsmodels.formula.api.ols("right ~ C(seed) + C(image)", frame.astype({"right": float})).fit()
    anova = statsmodels.stats.anova.anova_lm(fit)
    return float(anova.loc["Residual", "mean_sq"])


def compare(a, b, random):
    """The bootstrap over images and seeds, with scipy's quantiles, bootstrap and statsmodels' residuals."""
    images = a.mean(axis=0) - b.mean(axis=0)
    noise = {}
    for name, group, other in (("a", a, b), ("b", b, a)):
        noise[name] = residual(group if len(group) > 1 else other)
    variance = max(0.0, images.var(ddof=1) - noise["a"] / len(a) - noise["b"] / len(b))
    scale = math.sqrt(variance / images.var(ddof=1))
    drawn = scipy.stats.bootstrap((images,), numpy.mean, n_resamples=RESAMPLES, batch=1000, rng=random, method="percentile")
    total = images.mean() + scale * (drawn.bootstrap_distribution - images.mean())
    freedom = max(len(a), len(b)) - 1
    if min(len(a), len(b)) > 1:
        freedom = scipy.stats.ttest_ind(a.mean(axis=1), b.mean(axis=1), equal_var=False).df
    wide = scipy.stats.t.ppf(0.975, freedom) / scipy.stats.norm.ppf(0.975)
    error = variance / len(images)
    for group, other, sign in ((a, b, 1), (b, a, -1)):
        accuracies = (group if len(group) > 1 else other).mean(axis=1)
        k = len(accuracies)
        deviations = math.sqrt(k / (k - 1)) * (accuracies - accuracies.mean())
        total += sign * wide * random.choice(deviations, (RESAMPLES, len(group))).mean(axis=1)
        error += accuracies.var(ddof=1) / len(group)
    low, high = numpy.quantile(total, [0.025, 0.975])
    return {"difference": float(images.mean()), "low": float(low), "high": float(high), "error": math.sqrt(error), "image_variance": variance}


def group(random, easy, skill, seeds):
    """Right and wrong of a recipe whose seeds differ: probit of the image's easiness, the seed and noise."""
    latent = skill + easy + 0.1 * random.standard_normal((seeds, 1)) + 0.5 * random.standard_normal((seeds, len(easy)))
    return (latent > 0).astype(int)


def bits(group):
    return ["".join(map(str, row)) for row in group]


def main():
    random = numpy.random.default_rng(1)
    tables = [
        table(*t)
        for t in [
            (3000, 545, 455, 1000), (3000, 500, 500, 1000), (3000, 545, 400, 1055), (10, 0, 0, 5), (10, 1, 0, 5), (10, 0, 1, 5), (10, 5, 0, 5),
            (10, 6, 0, 5), (0, 7, 1, 0), (30, 12, 25, 33), (3000, 900, 100, 1000), (1, 100, 900, 0), (20000, 5200, 5000, 19800), (0, 3, 2, 0),
        ]
    ]
    groups = []
    for seeds_a, seeds_b, images, gap in [(3, 3, 150, 0.3), (2, 4, 150, 0.0), (3, 1, 150, 0.5), (1, 2, 150, 0.1), (6, 5, 100, 0.1)]:
        easy = random.standard_normal(images)
        a, b = group(random, easy + 0.3 * random.standard_normal(images), 0.5 + gap, seeds_a), group(random, easy, 0.5, seeds_b)
        made = {"first": bits(a), "second": bits(b)} | compare(a, b, random)
        made["residuals"] = [residual(g) for g in (a, b) if len(g) > 1]
        groups.append(made)
    needed = []
    for seed, image, size in [(0.006, 0.0, 0.01), (0.006, 0.04, 0.01), (0.003, 0.02, 0.01), (0.006, 0.5, 0.02), (0.002, 0.0, 0.05)]:
        z = scipy.stats.norm.ppf(0.975) + scipy.stats.norm.ppf(0.8)
        rest = size**2 - z**2 * image / 5000  # the size that the seeds alone would have to tell
        seeds = 0.0  # no number is enough
        if rest > 0:
            seeds = normal_sample_size_one_tail(math.sqrt(rest), 0.8, 0.025, std_null=math.sqrt(2) * seed)
        needed.append({"seed_deviation": seed, "image_variance": image, "images": 5000, "size": size, "seeds": float(seeds)})
    return {"tables": tables, "groups": groups, "needed": needed}


def same(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float):
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)
    return a == b


if __name__ == "__main__":
    made = main()
    if sys.argv[1] != "--check":
        with open(sys.argv[1], "w") as file:
            json.dump(made, file, indent=1)
            file.write("\n")
    elif not same(made, json.load(open(sys.argv[2]))):
        sys.exit(f"{sys.argv[2]} is not what golden.py makes: make it again, or find what has changed")
