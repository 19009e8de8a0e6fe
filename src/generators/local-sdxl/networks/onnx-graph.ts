import { InferenceSession, listSupportedBackends, Tensor } from 'onnxruntime-node';
import type { Graph, GraphOptions, GraphTensor, TensorData, TensorInfo } from './graph.ts';

/** ONNX Runtime's numbers for log lines: only errors are told. */
const ERRORS_ONLY = 3;

/**
 * Loads a graph with ONNX Runtime. Rejects with ONNX Runtime's own words when the file, or the device's libraries,
 * cannot be loaded. Loading and running block the thread, so this belongs into a process of its own.
 */
export async function openOnnxGraph(path: string, options: GraphOptions): Promise<Graph> {
  readHalvesAsBits();
  const session = await InferenceSession.create(path, {
    executionProviders: [options.device === 'cuda' ? { name: 'cuda', deviceId: options.deviceId } : 'cpu'],
    intraOpNumThreads: options.threads,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    enableCpuMemArena: !options.lowMemory,
    logSeverityLevel: ERRORS_ONLY,
  });
  return {
    inputs: session.inputMetadata.map(toInfo),
    outputs: session.outputMetadata.map(toInfo),
    async run(feeds, outputs) {
      const tensors = Object.entries(feeds).map(([name, tensor]) => [name, toTensor(tensor)]);
      const results = await session.run(Object.fromEntries(tensors), [...outputs]);
      return Object.fromEntries(outputs.map((name) => [name, fromTensor(name, results[name])]));
    },
    release: () => session.release(),
  };
}

/** The devices that this build of ONNX Runtime knows; `bundled` says whether their libraries came with it. */
export function supportedDevices(): readonly { readonly name: string; readonly bundled: boolean }[] {
  return listSupportedBackends();
}

/**
 * onnxruntime-node 1.30 takes float16 as raw bits only, but where the language has a `Float16Array` its tensors hold
 * one, which the binding reads as empty. It looks once, at the first tensor of the process: that must not find it.
 */
function readHalvesAsBits(): void {
  const native = Object.getOwnPropertyDescriptor(globalThis, 'Float16Array');
  if (native === undefined) return;
  Reflect.deleteProperty(globalThis, 'Float16Array');
  try {
    new Tensor('float32', Float32Array.of(0), [1]);
  } finally {
    Object.defineProperty(globalThis, 'Float16Array', native);
  }
}

function toInfo(metadata: InferenceSession.ValueMetadata): TensorInfo {
  if (!metadata.isTensor) return { name: metadata.name, type: 'no tensor', shape: [] };
  return { name: metadata.name, type: metadata.type, shape: metadata.shape };
}

function toTensor({ type, data, dims }: GraphTensor): Tensor {
  return new Tensor(type, data, dims);
}

function fromTensor(name: string, tensor: Tensor | undefined): GraphTensor {
  const data: unknown = tensor?.data;
  if (tensor === undefined || !isTensorData(data)) throw new Error(`the graph gave no numbers for ${name}`);
  const { type } = tensor;
  if (type !== 'float32' && type !== 'float16' && type !== 'int32' && type !== 'int64') {
    throw new Error(`the graph gave ${type} for ${name}`);
  }
  return { type, data, dims: tensor.dims };
}

function isTensorData(data: unknown): data is TensorData {
  return [Float32Array, Uint16Array, Int32Array, BigInt64Array].some((kind) => data instanceof kind);
}
