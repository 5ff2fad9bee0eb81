/**
 * The generated TypeScript client at work, as its user would write it.
 *
 *     node use_client.js URL DATASET
 *
 * On the server at URL, which has the model `tiny`: lists models, classifies files and bytes, uploads the pictures in the folder
 * DATASET (a folder for each class, named after it) as a stored data set, fine-tunes a model on it, follows the job to its end,
 * classifies with the new model, lets another version of it answer, and meets an error.
 */

import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";

import {
  AdditionState,
  ClassifyApi,
  Configuration,
  DatasetsApi,
  FinetuneApi,
  JobState,
  ModelsApi,
  ModelState,
  ResponseError,
} from "./graft_client/index.js";

const DEADLINE_MS = 120_000;
const MODEL = "typed";

function expect(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`FAILED: ${what}`);
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Asks again and again until there is something. */
async function patiently<T>(what: string, ask: () => Promise<T | undefined>): Promise<T> {
  for (const end = Date.now() + DEADLINE_MS; Date.now() < end; await pause(100)) {
    const found = await ask();
    if (found !== undefined) return found;
  }
  throw new Error(`FAILED: ${what}: nothing in ${DEADLINE_MS / 1000} s`);
}

const [url, dataset] = process.argv.slice(2);
expect(url !== undefined && dataset !== undefined, "usage: use_client.js URL DATASET");
const configuration = new Configuration({ basePath: url });
const classify = new ClassifyApi(configuration);
const datasets = new DatasetsApi(configuration);
const finetune = new FinetuneApi(configuration);
const models = new ModelsApi(configuration);

const folders = readdirSync(dataset).sort();
const files = (folder: string) => readdirSync(join(dataset, folder)).sort().map((name) => join(dataset, folder, name));
const file = (path: string) => new File([readFileSync(path)], basename(path));

// Models.
const { data } = await models.listModels();
expect(data.some((model) => model.name === "tiny" && model.state === ModelState.Ready), "tiny is ready");

// Classify: a form of two files, and the bytes of one.
const pictures = folders.slice(0, 2).map((folder) => file(files(folder)[0]));
const form = await classify.classifyImages({ image: pictures, model: "tiny", topK: 2 });
expect(form.results.every((result) => result.predictions?.length === 2), "two classes for each file");
const single = await classify.classifyBytes({ body: pictures[0], model: "tiny", topK: 2 });
const [a, b] = [form.results[0].predictions![0], single.results[0].predictions![0]!];
expect(a.label === b.label && Math.abs(a.score - b.score) < 1e-5, "a file and its bytes get the same answer");

// An error is a problem with a code.
try {
  await classify.classifyBytes({ body: new Blob(["text"]), model: "tiny" });
  expect(false, "text is no image");
} catch (error) {
  if (!(error instanceof ResponseError)) throw error;
  const problem = await error.response.json();
  expect(error.response.status === 422 && problem.code === "not_an_image", `the problem: ${JSON.stringify(problem)}`);
}

// Upload.
await datasets.createDataset({ newDataset: { name: MODEL } });
for (const folder of folders) {
  const added = await datasets.addDatasetImages({ name: MODEL, image: files(folder).map(file), label: folder });
  expect(added.results.every((result) => result.state === AdditionState.Added), `${folder} is added`);
}

// Fine-tune, and follow.
const accepted = await finetune.createFinetune({
  finetuneRequest: {
    baseModel: "tiny",
    dataset: { kind: "stored", name: MODEL },
    name: MODEL,
    options: { epochs: 40, learningRate: 0.05 },
  },
});
const over = await patiently("the fine-tune ends", async () => {
  const job = await finetune.getFinetune({ id: accepted.id });
  const running = job.state === JobState.Queued || job.state === JobState.Running;
  return running ? undefined : job;
});
expect(over.state === JobState.Succeeded, `the fine-tune succeeds: ${JSON.stringify(over)}`);
const events = await finetune.listFinetuneEvents({ id: accepted.id, limit: 1000 });
expect(events?.data !== undefined, "there is a page of events");
expect(events.data.some((event) => event.event.type === "metrics"), "its events have metrics");

// The new model answers.
await patiently("the new model is ready", async () => {
  const { data } = await models.listModels();
  return data.find((model) => model.name === MODEL && model.state === ModelState.Ready);
});
for (const folder of folders) {
  const answer = await classify.classifyImages({ image: [file(files(folder)[0])], model: MODEL, topK: 1 });
  expect(answer.results[0].predictions![0].label === folder, `a picture of ${folder}: ${JSON.stringify(answer.results)}`);
}

// Promote: a second version answers, and then the first one again.
const again = await finetune.createFinetune({
  finetuneRequest: {
    baseModel: "tiny",
    dataset: { kind: "stored", name: MODEL },
    name: MODEL,
    options: { epochs: 30, learningRate: 0.05 },
  },
});
await patiently("the second fine-tune ends", async () => {
  const { state } = await finetune.getFinetune({ id: again.id });
  return state === JobState.Succeeded ? state : undefined;
});
for (const version of [2, 1]) {
  const { version: answering } = await models.setLive({ name: MODEL, liveRequest: { version } });
  expect(answering === version, `version ${version} answers: ${answering}`);
  const { version: answered } = await classify.classifyBytes({ body: pictures[0], model: MODEL, topK: 1 });
  expect(answered === version, `version ${version} classifies: ${answered}`);
}
await datasets.deleteDataset({ name: MODEL });
console.log(`TypeScript: classified, uploaded ${folders.join(", ")}, fine-tuned, followed ${events.data.length} events, promoted`);
