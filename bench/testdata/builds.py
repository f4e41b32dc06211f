#!/usr/bin/python3
"""Makes builds.json, a trace for `make bench`. It is made up, not recorded: the
seed makes it the same each time."""
import json
import math
import random

random.seed(20261128)
slower = {"amd64": 1.0, "arm64": 1.4, "riscv64": 4.0}
packages = {f"pkg{n:02}": max(25, 150 * math.exp(random.gauss(0, 1.2))) for n in range(45)}
jobs = []
for day in range(4):
    for burst in range(6):
        at = day * 86400 + int(random.uniform(0, 86400))
        for package in random.sample(sorted(packages), random.randint(3, 9)):
            at += int(random.expovariate(1 / 40))
            for arch, factor in slower.items():
                took = packages[package] * factor * math.exp(random.gauss(0, 0.1))
                success = random.random() > 0.12
                if not success:
                    took *= random.uniform(0.1, 1)
                jobs.append({"at": at, "workspace": 1 + (burst == 3), "priority": random.choice([0, 0, 0, -5, 5]), "subject": package,
                             "architecture": arch, "took": max(5, int(took)), "success": success})
jobs.sort(key=lambda j: j["at"])
machines = [{"Slots": 1, "Queues": ["build/amd64"]}, {"Slots": 1, "Queues": ["build/amd64", "build/arm64"]}, {"Slots": 1, "Queues": ["build/arm64"]},
            {"Slots": 2, "Queues": ["build/riscv64"]}]
with open("builds.json", "w") as out:
    out.write('{"machines": ' + json.dumps(machines) + ',\n "jobs": [\n')
    out.write(",\n".join(json.dumps(j, separators=(",", ":")) for j in jobs) + "\n]}\n")
