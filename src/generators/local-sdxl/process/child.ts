// The main of the process that holds the model: its death, or its blocked event loop, is not the server's.
import { writeFile } from 'node:fs/promises';
import { openOnnxGraph } from '../networks/onnx-graph.ts';
import { createModelHost } from './model-host.ts';

/** Linux ends the process with the highest score first; above this one's default, so that it is not the server. */
const FIRST_TO_GO = '500';

const host = createModelHost({
  openGraph: openOnnxGraph,
  send: (message) =>
    new Promise((resolve) => {
      // A server that is gone needs no answer; `disconnect` ends this process then.
      if (process.send === undefined || !process.connected) resolve();
      else process.send(message, () => resolve());
    }),
});

process.on('message', host);
// The terminal and service managers signal all processes: the server decides when this one goes.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
process.on('disconnect', () => process.exit(0));
// Only Linux has it, and not in every sandbox; without it the process works as well.
await writeFile('/proc/self/oom_score_adj', FIRST_TO_GO).catch(() => undefined);
