// Drive a service with the JavaScript clients, azure-batch 9 and @azure/batch, as a user of theirs
// would. Runs with nothing but the clients; prints what a test wants to know as JSON.

"use strict";

const { strict: assert } = require("assert");

const WAIT_MS_MAX = 60_000;
const [packageName] = process.argv.slice(2);
const isOld = packageName === "azure-batch";
const name = `client-node-${isOld ? "old" : "new"}`;
const commands = { a: "echo hello", b: "cat $AZ_BATCH_NODE_SHARED_DIR/started", c: "exit 3" };

function connect() {
  const { AZURE_BATCH_ENDPOINT, AZURE_BATCH_ACCOUNT, AZURE_BATCH_ACCESS_KEY } = process.env;
  const batch = require(packageName);
  if (isOld) {
    const credentials = new batch.SharedKeyCredentials(AZURE_BATCH_ACCOUNT, AZURE_BATCH_ACCESS_KEY);
    return new batch.ServiceClient(credentials, AZURE_BATCH_ENDPOINT);
  }
  const credentials = new batch.BatchSharedKeyCredentials(
    AZURE_BATCH_ACCOUNT,
    AZURE_BATCH_ACCESS_KEY,
  );
  return new batch.BatchServiceClient(credentials, AZURE_BATCH_ENDPOINT);
}

async function main() {
  const batch = connect();
  const nodes = isOld ? batch.computeNodeOperations : batch.computeNode;
  const slots = isOld ? "maxTasksPerNode" : "taskSlotsPerNode";
  const seen = { api_version: batch.apiVersion };

  await batch.pool.add({
    id: name,
    vmSize: "standard_d2_v2",
    targetDedicatedNodes: 1,
    [slots]: 2,
    virtualMachineConfiguration: await aMachine(batch),
    startTask: {
      commandLine: "/bin/sh -c 'echo started > $AZ_BATCH_NODE_SHARED_DIR/started'",
      waitForSuccess: true,
      userIdentity: { autoUser: { scope: "pool", elevationLevel: "admin" } },
    },
  });
  seen.slots = (await batch.pool.get(name))[slots];
  await until("nodes", async () => {
    const states = (await nodes.list(name)).map((node) => node.state);
    return states.length === 1 && states[0] === "idle";
  });

  await batch.job.add({ id: name, poolInfo: { poolId: name } });
  await batch.job.patch(name, { priority: 7 });
  seen.priority = (await batch.job.get(name)).priority;
  const tasks = Object.entries(commands).map(([id, command]) => ({
    id,
    commandLine: `/bin/sh -c '${command}'`,
  }));
  const added = await batch.task.addCollection(name, tasks);
  seen.added = added.value.map((item) => item.status.toLowerCase());
  const [again] = (await batch.task.addCollection(name, tasks.slice(0, 1))).value;
  seen.again = [again.status.toLowerCase(), again.error.code];
  await until("tasks", async () =>
    (await batch.task.list(name)).every((task) => task.state === "completed"),
  );
  await list(batch, seen);
  await read(batch, seen);

  await assert.rejects(batch.pool.get("nowhere"), (error) => {
    seen.refused = [error.code || error.body.code, error.statusCode];
    return true;
  });
  await end(batch, seen);
  console.log(JSON.stringify(seen));
}

async function aMachine(batch) {
  const images = await batch.account.listSupportedImages({
    accountListSupportedImagesOptions: { filter: "verificationType eq 'verified'" },
  });
  const image = images.find((each) => each.imageReference.offer === "0001-com-ubuntu-server-jammy");
  return { imageReference: image.imageReference, nodeAgentSKUId: image.nodeAgentSKUId };
}

async function list(batch, seen) {
  const [task, ...others] = await batch.task.list(name, {
    taskListOptions: {
      filter: "state eq 'completed' and startswith(id, 'a')",
      select: "id,executionInfo",
    },
  });
  assert.deepEqual(others, []);
  seen.filtered = [task.id, task.executionInfo.exitCode, task.commandLine ?? null];
  const pages = [];
  let page = await batch.task.list(name, { taskListOptions: { maxResults: 1 } });
  for (;;) {
    pages.push(...page.map((each) => each.id));
    if (!page.odatanextLink) break;
    page = await batch.task.listNext(page.odatanextLink);
  }
  seen.pages = pages.sort();
  const failed = await batch.task.get(name, "c");
  seen.exit_code = failed.executionInfo.exitCode;
  seen.failure = failed.executionInfo.failureInfo.code;
  seen.result = failed.executionInfo.result;
  seen.user = failed.userIdentity.autoUser.elevationLevel;
  const counts = await batch.job.getTaskCounts(name);
  const { completed, succeeded, failed: lost } = isOld ? counts : counts.taskCounts;
  seen.counts = [completed, succeeded, lost];
}

async function read(batch, seen) {
  const files = await batch.file.listFromTask(name, "a");
  seen.files = files.filter((file) => !file.isDirectory).map((file) => file.name).sort();
  const range = { fileGetFromTaskOptions: { ocpRange: "bytes=1-3" } };
  seen.output = await content(batch, "a", {});
  seen.started = await content(batch, "b", {});
  seen.range = await content(batch, "a", range);
}

async function end(batch, seen) {
  await batch.job.terminate(name, { terminateReason: "enough" });
  await until("job", async () => (await batch.job.get(name)).state === "completed");
  seen.reason = (await batch.job.get(name)).executionInfo.terminateReason;
  await batch.job.deleteMethod(name);
  await until("deleted job", async () => (await batch.job.list()).every((job) => job.id !== name));
  await batch.pool.deleteMethod(name);
  await until("deleted pool", async () => !(await exists(batch)));
}

async function exists(batch) {
  const found = await batch.pool.exists(name);
  return isOld ? found : found.body;
}

async function content(batch, task, options) {
  const chunks = [];
  if (isOld) {
    // Its promise comes after the first data has gone by; its callback comes in time.
    await new Promise((resolve, reject) => {
      batch.file.getFromTask(name, task, "stdout.txt", options, (error, stream) => {
        if (error) return reject(error);
        stream.on("data", (chunk) => chunks.push(chunk)).on("end", resolve).on("error", reject);
      });
    });
  } else {
    const answer = await batch.file.getFromTask(name, task, "stdout.txt", options);
    for await (const chunk of answer.readableStreamBody) chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

async function until(what, isDone) {
  const limit = Date.now() + WAIT_MS_MAX;
  while (!(await isDone())) {
    if (Date.now() > limit) throw new Error(`${what}: not within ${WAIT_MS_MAX} ms`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
