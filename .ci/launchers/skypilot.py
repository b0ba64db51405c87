"""Holds k8s/skypilot.yaml to SkyPilot itself: its schema, its reading of the task, and what it does after each exit code.
Usage: python skypilot.py FILE, where the package skypilot is installed."""
import sys

import jsonschema
import sky
import yaml
from sky.jobs import recovery_strategy
from sky.utils import schemas

path = sys.argv[1]
text = yaml.safe_load(open(path))
jsonschema.validate(text, schemas.get_task_schema())
task = sky.Task.from_yaml(path)
(resources,) = task.resources
recovery = resources.job_recovery
assert resources.use_spot and recovery["strategy"] == "EAGER_NEXT_REGION", resources

# SkyPilot's own decision, without a cluster: what its executor of a strategy does when the program has ended.
executor = object.__new__(recovery_strategy.StrategyExecutor)
executor.recover_on_exit_codes = recovery["recover_on_exit_codes"]
executor.max_restarts_on_errors = recovery.get("max_restarts_on_errors", 0)
executor.restart_cnt_on_failure = 0
wanted = {64: False, 65: False, 76: False, 1: False, 2: False, 74: True, 75: True, 137: True, 143: True}
for code, again in wanted.items():
    for attempt in range(20):  # as often as a run may be preempted
        got = executor.should_restart_on_failure(exit_codes=[code])
        assert got == again, f"exit code {code}, time {attempt}: recovered {got}, want {again}"
print(f"SkyPilot {sky.__version__}: recovers after {[c for c, again in wanted.items() if again]}, not after {[c for c, again in wanted.items() if not again]}")
