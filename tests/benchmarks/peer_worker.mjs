// Runs node-llama-cpp for peers.py; speaks as peer_worker.py does. The package lies in the current folder.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const folder = `${process.cwd()}/node_modules/node-llama-cpp`;
const { getLlama } = await import(pathToFileURL(`${folder}/dist/index.js`));
const [path, threads, contextTokens] = process.argv.slice(2);
const version = JSON.parse(readFileSync(`${folder}/package.json`, "utf8")).version;

const llama = await getLlama({ gpu: false, build: "never", progressLogs: false, logLevel: "error" });
const model = await llama.loadModel({ modelPath: path });
const context = await model.createContext({
  contextSize: Number(contextTokens), batchSize: 512, threads: Number(threads),
});
const sequence = context.getSequence();
console.log(JSON.stringify({ version }));

for await (const line of createInterface({ input: process.stdin })) {
  const { prompt, tokens } = JSON.parse(line);
  await sequence.clearHistory();
  const started = performance.now();
  const times = [];
  for await (const token of sequence.evaluate(model.tokenize(prompt), { temperature: 0, yieldEogToken: true })) {
    times.push(performance.now());
    if (times.length === tokens) break;
  }
  const steps = times.slice(1).map((time, index) => time - times[index]).sort((one, other) => one - other);
  console.log(JSON.stringify({
    first_s: (times[0] - started) / 1000, token_s: steps[Math.floor(steps.length / 2)] / 1000,
  }));
}
process.exit(0);
