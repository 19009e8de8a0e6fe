import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { locateComponents } from '../../src/generators/local-sdxl/model/components.ts';
import type { ModelFolder } from '../../src/generators/local-sdxl/model/model-folder.ts';
import { readModelFolder } from '../../src/generators/local-sdxl/model/model-folder.ts';
import { openOnnxGraph } from '../../src/generators/local-sdxl/networks/onnx-graph.ts';
import type { OpenModel } from '../../src/generators/local-sdxl/process/open-model.ts';
import { openModel } from '../../src/generators/local-sdxl/process/open-model.ts';
import { layOutModel } from './lay-out.ts';

/** A golden model, ready to run. */
export interface GoldenModel {
  readonly folder: ModelFolder;
  readonly open: OpenModel;
}

/** The models of a folder, each laid out as a user would have it and opened when a case first asks for it. */
export class GoldenModels {
  readonly #root: string;
  readonly #opened = new Map<string, Promise<GoldenModel>>();
  readonly #folders: string[] = [];

  /** @param root the folder with `manifest.json` */
  constructor(root: string) {
    this.#root = root;
  }

  /** Rejects when the manifest has no such model, or the model cannot be opened. */
  async open(name: string): Promise<GoldenModel> {
    const opened = this.#opened.get(name) ?? this.#open(name);
    this.#opened.set(name, opened);
    return await opened;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const opened of await Promise.allSettled(this.#opened.values())) {
      if (opened.status === 'fulfilled') await opened.value.open.release();
    }
    for (const folder of this.#folders) await rm(folder, { recursive: true });
  }

  async #open(name: string): Promise<GoldenModel> {
    const place = await mkdtemp(join(tmpdir(), 'image-server-golden-'));
    this.#folders.push(place);
    await layOutModel(this.#root, name, place);
    const folder = await readModelFolder(await locateComponents([place]), name);
    const options = { device: 'cpu', deviceId: 0, threads: 2, lowMemory: false } as const;
    return { folder, open: await openModel(folder, openOnnxGraph, options, () => {}) };
  }
}
