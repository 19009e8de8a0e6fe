/** Element types that SDXL graphs take or give. */
export type ElementType = 'float32' | 'float16' | 'int32' | 'int64';

/** An input or output of a graph, as its file says. */
export interface TensorInfo {
  readonly name: string;
  /** As ONNX names it; binding refuses those that are no `ElementType`. */
  readonly type: string;
  /** One entry a dimension, a name where it is free. Empty for a scalar. */
  readonly shape: readonly (number | string)[];
}

/** The data of a tensor; float16 as raw bits. */
export type TensorData = Float32Array | Uint16Array | Int32Array | BigInt64Array;

/** A tensor on its way into a graph or out of it. */
export interface GraphTensor {
  readonly type: ElementType;
  readonly data: TensorData;
  readonly dims: readonly number[];
}

/** A loaded ONNX graph. */
export interface Graph {
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  /** Runs it for the outputs that are named; only those are copied out. Blocks its thread until it is done. */
  run(
    feeds: Readonly<Record<string, GraphTensor>>,
    outputs: readonly string[],
  ): Promise<Readonly<Record<string, GraphTensor>>>;
  /** Frees its memory for the next graph. It cannot run afterwards. */
  release(): Promise<void>;
}

/** Where and how graphs run. */
export interface GraphOptions {
  readonly device: 'cpu' | 'cuda';
  /** Which GPU, from 0. */
  readonly deviceId: number;
  /** Threads of an operator. */
  readonly threads: number;
  /** Gives memory back after each run instead of keeping it for the next one. */
  readonly lowMemory: boolean;
}

/** Loads a graph from its file; weights beside it are found by their names in it. */
export type OpenGraph = (path: string, options: GraphOptions) => Promise<Graph>;
