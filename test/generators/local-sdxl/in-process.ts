import { realpath } from 'node:fs/promises';
import type { Graph, GraphOptions } from '../../../src/generators/local-sdxl/networks/graph.ts';
import { openOnnxGraph } from '../../../src/generators/local-sdxl/networks/onnx-graph.ts';
import type { StartChild } from '../../../src/generators/local-sdxl/process/child-link.ts';
import { createModelHost } from '../../../src/generators/local-sdxl/process/model-host.ts';
import type { FromChild } from '../../../src/generators/local-sdxl/process/protocol.ts';

/** Graphs that stay open over the tests of a file: optimising one takes longer than all runs of a test. */
const open = new Map<string, Promise<Graph>>();

async function openOnce(path: string, options: GraphOptions): Promise<Graph> {
  // The tests' folders hold links to the same few files.
  const file = await realpath(path);
  const graph = open.get(file) ?? openOnnxGraph(path, options);
  open.set(file, graph);
  return { ...(await graph), release: async () => {} };
}

/** The child's side in this process: the same host on the same graphs, with messages that are copied on their way. */
export const startInProcess: StartChild = ({ onMessage, onExit }) => {
  let alive = true;
  const tell = async (message: FromChild): Promise<void> => {
    const copy = structuredClone(message);
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (alive) onMessage(copy);
  };
  const host = createModelHost({ openGraph: openOnce, send: tell });
  return {
    async send(message) {
      const copy = structuredClone(message);
      await new Promise<void>((resolve) => setImmediate(resolve));
      if (alive) host(copy);
    },
    async kill() {
      const was = alive;
      alive = false;
      await new Promise<void>((resolve) => setImmediate(resolve));
      if (was) onExit('SIGKILL');
    },
  };
};
