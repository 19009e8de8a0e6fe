import { AppError } from '../../../errors.ts';
import type { ElementType, Graph, GraphTensor, TensorInfo } from './graph.ts';
import { fromHalfBits, toHalfBits } from './half.ts';

/** The graph of a component, as its errors name it: `unet`, `text_encoder` … */
export interface NamedGraph {
  readonly component: string;
  readonly graph: Graph;
}

/** The first input with one of these names; producers of graphs do not agree on them. */
export function findInput({ graph }: NamedGraph, names: readonly string[]): TensorInfo | undefined {
  return graph.inputs.find(({ name }) => names.includes(name));
}

/** As `findInput`; throws `config_invalid` when there is none. */
export function needInput(named: NamedGraph, names: readonly string[]): TensorInfo {
  const found = findInput(named, names);
  if (found !== undefined) return found;
  const inputs = named.graph.inputs.map(({ name }) => name).join(', ');
  throw unfit(named, `has no input ${names.join(' or ')}, only ${inputs}`);
}

/** The only input of a graph, whatever its name. Throws `config_invalid` when there are more. */
export function onlyInput(named: NamedGraph): TensorInfo {
  const [only, second] = named.graph.inputs;
  if (only === undefined || second !== undefined) throw unfit(named, 'must have exactly one input');
  return only;
}

/** The only output of a graph, whatever its name. Throws `config_invalid` when there are more. */
export function onlyOutput(named: NamedGraph): TensorInfo {
  const [only, second] = named.graph.outputs;
  if (only === undefined || second !== undefined) throw unfit(named, 'must have exactly one output');
  return only;
}

/** Throws `config_invalid` for inputs that nobody would feed. */
export function refuseOtherInputs(named: NamedGraph, known: readonly (TensorInfo | undefined)[]): void {
  const others = named.graph.inputs.filter((input) => !known.includes(input)).map(({ name }) => name);
  if (others.length > 0) throw unfit(named, `wants inputs that are not known here: ${others.join(', ')}`);
}

/** `config_invalid`: the graph is none of the exports that can be used. */
export function unfit({ component }: Pick<NamedGraph, 'component'>, problem: string): AppError {
  return new AppError('config_invalid', `[local_sdxl] model_dir: the graph ${component}/model.onnx ${problem}`);
}

/** Type of a tensor that takes numbers. Throws `config_invalid` for one that does not. */
export function elementType(named: NamedGraph, { name, type }: TensorInfo): ElementType {
  if (type === 'float32' || type === 'float16' || type === 'int32' || type === 'int64') return type;
  throw unfit(named, `has ${name} of type ${type}; float32, float16, int32 and int64 can be used`);
}

/** Makes tensors of numbers for an input, in its type; the buffer of the last one is used again. */
export function createFeed(
  named: NamedGraph,
  input: TensorInfo,
): (values: Float32Array, dims: readonly number[]) => GraphTensor {
  const type = elementType(named, input);
  let bits: Uint16Array | undefined;
  let wide: BigInt64Array | undefined;
  let whole: Int32Array | undefined;
  return (values, dims) => {
    switch (type) {
      case 'float32':
        return { type, data: values, dims };
      case 'float16':
        if (bits?.length !== values.length) bits = new Uint16Array(values.length);
        return { type, data: toHalfBits(values, bits), dims };
      case 'int32':
        if (whole?.length !== values.length) whole = new Int32Array(values.length);
        whole.set(values);
        return { type, data: whole, dims };
      case 'int64':
        if (wide?.length !== values.length) wide = new BigInt64Array(values.length);
        // Fractions are cut off: a graph with whole timesteps cannot be told them.
        for (let i = 0; i < values.length; i += 1) wide[i] = BigInt(Math.trunc(values[i] ?? 0));
        return { type, data: wide, dims };
    }
  };
}

/** A tensor's numbers; those of half precision are written into `into` when it is given. */
export function toNumbers({ data }: GraphTensor, into?: Float32Array): Float32Array {
  if (data instanceof Float32Array) return data;
  if (data instanceof Uint16Array) return fromHalfBits(data, into);
  return Float32Array.from(data, Number);
}

/** A scalar, or a list of one, as the input wants it. */
export function scalarDims({ shape }: TensorInfo): readonly number[] {
  return shape.length === 0 ? [] : [1];
}
