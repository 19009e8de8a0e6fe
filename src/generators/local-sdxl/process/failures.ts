import { AppError } from '../../../errors.ts';
import { GraphNotOpened } from './open-model.ts';
import type { FromChild, LoadFailure } from './protocol.ts';

/** How ONNX Runtime, its CUDA arena and V8 say that there is no memory. */
const NO_MEMORY = /failed to allocate memory|bad[ _]?alloc|out of memory|array buffer allocation failed/i;
/** After an illegal access everything on the device fails until the process ends. */
const DEVICE_LOST = /cuda (failure|error) 700|illegal memory access/i;

/** How to get what CUDA needs; the npm package has none of it. */
const CUDA_HELP =
  'its libraries are not in the npm package: install CUDA 12 and cuDNN 9, run ' +
  '`node node_modules/onnxruntime-node/script/install.js --onnxruntime-node-install=cuda12` (it downloads the ' +
  'provider libraries), or set [local_sdxl] device = "cpu", or device_fallback = true';

/** Whether another device may do better. */
export function isDeviceFailure(error: unknown): boolean {
  if (!(error instanceof GraphNotOpened)) return false;
  const words = wordsOf(error);
  return !NO_MEMORY.test(words) && /cuda|execution ?provider|shared library/i.test(words);
}

/** Why a model could not be loaded, for the operator. */
export function loadFailure(error: unknown): Omit<LoadFailure, 'id'> {
  const detail = wordsOf(error);
  const broken = (message: string) => ({ kind: 'not-loaded', why: 'broken', message, detail }) as const;
  if (error instanceof AppError && error.code === 'config_invalid') return broken(error.message);
  if (NO_MEMORY.test(detail)) {
    return { kind: 'not-loaded', why: 'failed', message: 'There is too little memory for the model.', detail };
  }
  if (isDeviceFailure(error)) return broken(`[local_sdxl] device = "cuda": the GPU cannot be used; ${CUDA_HELP}`);
  if (error instanceof GraphNotOpened) {
    const weights = /[\w.-]+\.(onnx_data|onnx\.data|data|pb|bin)\b/.exec(detail)?.[0];
    const hint = weights === undefined ? 'it is damaged or cut off' : `its weights, ${weights}, are missing or cut off`;
    return broken(`[local_sdxl] model_dir: ${error.component}/model.onnx cannot be loaded: ${hint}; export it again`);
  }
  return { kind: 'not-loaded', why: 'failed', message: 'The model could not be loaded.', detail };
}

/** Why a render failed. */
export function renderFailure(error: unknown): Omit<Extract<FromChild, { kind: 'failed' }>, 'id'> {
  const detail = wordsOf(error);
  const failed = (why: 'request' | 'output' | 'fatal' | 'error', message: string) =>
    ({ kind: 'failed', why, message, detail }) as const;
  if (error instanceof AppError) return failed(error.code === 'invalid_request' ? 'request' : 'output', error.message);
  if (NO_MEMORY.test(detail)) return failed('fatal', 'There is too little memory for this render.');
  if (DEVICE_LOST.test(detail)) return failed('fatal', 'The GPU has failed; the process of the model is replaced.');
  return failed('error', 'The model could not render the image.');
}

function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? '' : `: ${wordsOf(error.cause)}`;
  return `${error.message}${cause}`;
}
