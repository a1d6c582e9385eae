"""A client of Kedge that knows nothing but proto/: submits a run, follows its logs, approves what waits, tells the end.

    client.py <folder of generated code> <host:port> <CA file> <pipeline file>      (token: KEDGE_TOKEN)

Prints one JSON object.
"""

import json
import os
import sys
import threading

generated, address, ca_file, pipeline_file = sys.argv[1:5]
sys.path.insert(0, generated)

import grpc  # noqa: E402
from kedge.v1 import run_pb2, run_pb2_grpc  # noqa: E402

DEADLINE_SECONDS = 60


def main() -> None:
    with open(ca_file, "rb") as ca:
        tls = grpc.ssl_channel_credentials(root_certificates=ca.read())
    token = grpc.access_token_call_credentials(os.environ["KEDGE_TOKEN"])
    channel = grpc.secure_channel(address, grpc.composite_channel_credentials(tls, token))
    runs = run_pb2_grpc.RunServiceStub(channel)

    with open(pipeline_file, encoding="utf-8") as pipeline:
        request = run_pb2.SubmitRunRequest(pipeline_source=pipeline.read(), parameters={"who": "Python"})
    run = runs.SubmitRun(request, timeout=DEADLINE_SECONDS).run

    log = bytearray()
    reader = threading.Thread(target=follow, args=(runs, run.id, log))
    reader.start()
    last = watch(runs, run.id)
    reader.join(DEADLINE_SECONDS)

    print(json.dumps({
        "id": last.id,
        "state": run_pb2.RunState.Name(last.state),
        "jobs": {job.spec.name: run_pb2.JobState.Name(job.state) for job in last.jobs},
        "outputs": {job.spec.name: dict(job.outputs) for job in last.jobs},
        "log": log.decode(),
        "refused": refused(runs),
    }))


def follow(runs, run_id: str, log: bytearray) -> None:
    """Gathers what the run's steps print, from the beginning, until it ends."""
    request = run_pb2.StreamLogsRequest(run_id=run_id, follow=True)
    for answer in runs.StreamLogs(request, timeout=DEADLINE_SECONDS):
        if answer.chunk.stream == run_pb2.LOG_STREAM_STDOUT:
            log.extend(answer.chunk.data)


def watch(runs, run_id: str):
    """Follows the run, approving every job that waits for a person; gives its last state."""
    approved = set()
    for answer in runs.WatchRun(run_pb2.WatchRunRequest(run_id=run_id), timeout=DEADLINE_SECONDS):
        for job in answer.run.jobs:
            if job.state == run_pb2.JOB_STATE_BLOCKED and job.spec.name not in approved:
                approved.add(job.spec.name)
                request = run_pb2.ApproveJobRequest(run_id=run_id, job=job.spec.name, comment="from Python")
                runs.ApproveJob(request, timeout=DEADLINE_SECONDS)
    return answer.run


def refused(runs) -> str:
    """The status of a call that cannot work, as other languages see errors."""
    try:
        runs.GetRun(run_pb2.GetRunRequest(run_id="01nosuchrun"), timeout=DEADLINE_SECONDS)
    except grpc.RpcError as error:
        return error.code().name
    return ""


main()
