"""Validates every combination of k8s/ strictly against the schemas of several Kubernetes versions, without a cluster.
Usage: python schemas.py K8S_FOLDER COMMAND..., where the package kubernetes-validate is installed. The command is
`kubectl kustomize` or `kustomize build`."""
import concurrent.futures
import itertools
import os
import shutil
import subprocess
import sys
import tempfile

import kubernetes_validate
import yaml

folder, *build = sys.argv[1:]
versions = ["1.31", "1.33", "1.34", "1.35", "1.36", "1.37"]
clouds = [[], ["gke-spot"], ["gke-spot", "gke-computeclass"], ["eks-spot"], ["eks-spot", "eks-cilium"], ["eks-spot", "eks-on-demand"], ["aks-spot"],
          ["aks-spot", "aks-on-demand"]]
extras = [[], ["sweep"], ["kueue"], ["sweep", "kueue"], ["trainjob"], ["in-place"], ["metrics/annotations"], ["metrics/podmonitor"], ["metrics/gke"]]
since = {"in-place": "1.35"}


def render(components):
    """What kustomize makes of k8s/ with these components."""
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        top = os.path.join(copy, "kustomization.yaml")
        text = yaml.safe_load(open(top))
        text["components"] = components
        text["configMapGenerator"][0]["literals"].append("AZURE_CLIENT_ID=00000000-0000-0000-0000-000000000000")
        yaml.safe_dump(text, open(top, "w"))
        return list(yaml.safe_load_all(subprocess.run([*build, copy], check=True, capture_output=True, text=True).stdout))


def validate(components):
    """The number of validations; the first that fails is raised."""
    done = 0
    for document in render(components):
        group = document["apiVersion"].rpartition("/")[0]
        if "." in group and not group.endswith(".k8s.io"):
            continue  # of another project: .ci/cluster has its definitions
        for version in versions:
            if any(version < since.get(c, "") for c in components):
                continue
            kubernetes_validate.validate(document, version, strict=True)
            done += 1
    return done


def spot_only(components):
    """Whether the Job's pods take spot machines and no others."""
    job = next(d for d in render(components) if d["kind"] == "Job")
    spec = job["spec"]["template"]["spec"]
    required = spec.get("affinity", {}).get("nodeAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution", {})
    return "spot" in str([spec["nodeSelector"], required]).lower()


for cloud in clouds:
    want = bool(cloud) and not any(c.endswith(("on-demand", "computeclass")) for c in cloud)
    if spot_only(["namespace", *cloud]) != want:
        sys.exit(f"{cloud}: takes spot machines alone: {not want}")

combinations = [["namespace", *cloud, *extra] for cloud, extra in itertools.product(clouds, extras)]
with concurrent.futures.ProcessPoolExecutor() as pool:
    total = sum(pool.map(validate, combinations))

# A control: what is misspelt is refused.
job = next(d for d in render(["namespace", "gke-spot"]) if d["kind"] == "Job")
job["spec"]["backoffLimits"] = 6
try:
    kubernetes_validate.validate(job, versions[-1], strict=True)
except kubernetes_validate.ValidationError:
    print(f"{len(combinations)} combinations, {total} validations against {', '.join(versions)}")
else:
    sys.exit("a misspelt field is accepted")
