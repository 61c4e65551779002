"""The same with HyperQueue: its server and two one-core workers in this slim process."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig


def main(count: int, folder: Path) -> None:
    os.chdir(folder)  # it writes the files of its tasks to where it stands
    with LocalCluster(server_dir=str(folder)) as cluster:
        for _ in range(2):
            cluster.start_worker(WorkerConfig(cores=1))
        client = cluster.client()
        rates = {}
        for keeps_output in (True, False):
            job = Job()
            for _ in range(count):
                if keeps_output:
                    job.program(["/bin/true"])
                else:
                    job.program(["/bin/true"], stdout=None, stderr=None)
            begun = perf_counter()
            client.wait_for_jobs([client.submit(job)])
            rates[keeps_output] = count / (perf_counter() - begun)
    print(json.dumps({"rate": max(rates.values())}))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[2]) as work:
        main(int(sys.argv[1]), Path(work))
