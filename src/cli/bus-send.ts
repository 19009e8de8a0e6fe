import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { z } from 'zod';
import type { BusImageReady } from '../messages/bus.ts';
import { alert, busImageReady } from '../messages/bus.ts';
import type { BusCommandContext, BusOptions, CoreSide } from './bus-command.ts';
import { addBusOptions, configFor, interruptible } from './bus-command.ts';
import { CommandError, EXIT, usageError } from './command-error.ts';
import { reasonOf } from './file-reason.ts';
import { planOutput } from './output-file.ts';
import type { RenderFlag } from './render-flags.ts';
import { fieldsOf, renderFlags } from './render-flags.ts';
import { printable } from './text.ts';

/** How long an image server may take to come. */
const CONNECT_SECONDS = 10;

interface SendOptions extends BusOptions {
  readonly output?: string;
  readonly outputFormat?: string;
  readonly patience: string;
}

/** Of an image by another server: only what Experimance's own messages have. */
const foreignImage = busImageReady.pick({ type: true, request_id: true, uri: true });
const anyAnswer = z.looseObject({ request_id: z.string() });

const HELP = `
It takes the core's place, so it works only while no core runs. With -o each image is saved, else its address is printed.
Exit codes: 0 done, 1 an Alert came, 2 wrong input, 69 the place is taken or no image server came, 75 no answer in time,
78 wrong configuration, 130 interrupted.`;

/** Adds `bus send PROMPT`. */
export function addBusSendCommand(bus: Command, context: BusCommandContext): void {
  const flags = renderFlags();
  const command = bus
    .command('send')
    .description('Ask for a render as a core does, and wait for the image')
    .argument('<prompt>', 'what to draw')
    .option('-o, --output <file>', 'save the image; the extension chooses the format')
    .option('--patience <seconds>', 'how long to wait for the image', '120')
    .option('--json', 'print the answer as JSON, and problems as JSON on stderr');
  for (const { option } of flags) command.addOption(option);
  addBusOptions(command)
    .addHelpText('after', HELP)
    .action((prompt: string) => send(prompt, command, flags, context));
}

async function send(prompt: string, command: Command, flags: readonly RenderFlag[], context: BusCommandContext) {
  const options = command.opts<SendOptions>();
  const { host } = context;
  const seconds = Number(options.patience);
  if (!(seconds > 0)) throw usageError('--patience must be a number of seconds above 0.');
  const output =
    options.output === undefined ? undefined : await planOutput(options.output, host.cwd, options.outputFormat);
  const fields = await fieldsOf(command, flags, host.cwd);
  const request = {
    type: 'RenderRequest',
    request_id: randomUUID(),
    prompt,
    ...(output === undefined ? {} : { output_format: output.format }),
    ...fields,
  };
  const core = await openCore(configFor(options, context).bus, context);
  try {
    await handOver(core, request, context);
    for await (const image of imagesOf(String(request.request_id), core, seconds, context)) {
      const { index = 0, of = 1 } = image;
      const files = output === undefined ? [] : [await output.save(await bytesOf(image), index, of)];
      const text = files[0] ?? image.uri;
      host.stdout.write(options.json === true ? `${JSON.stringify({ ...image, files })}\n` : `${printable(text)}\n`);
    }
  } finally {
    core.close();
  }
}

async function openCore(bus: Parameters<BusCommandContext['openCore']>[0], context: BusCommandContext) {
  try {
    return await context.openCore(bus);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EADDRINUSE')) throw error;
    const where = bus.layout === 'worker' ? `${bus.requests} or ${bus.results}` : bus.events;
    const message = `${where} is taken, by a core as it seems; stop it, or use image-server render.`;
    throw new CommandError(EXIT.unreachable, 'port_in_use', message, error);
  }
}

async function handOver(core: CoreSide, request: { type: string }, context: BusCommandContext): Promise<void> {
  const message = `No image server came within ${CONNECT_SECONDS} s; is it started, and are its [bus] addresses the same?`;
  const wait = interruptible(
    context,
    CONNECT_SECONDS,
    () => new CommandError(EXIT.unreachable, 'unreachable', message),
  );
  try {
    await core.send(request, wait.signal);
  } finally {
    wait.done();
  }
}

type Image = z.infer<typeof foreignImage> & Partial<BusImageReady>;

/** Each image of the request once, until all have come. Throws when there is an Alert in their place, or time is up. */
async function* imagesOf(
  id: string,
  core: CoreSide,
  seconds: number,
  context: BusCommandContext,
): AsyncGenerator<Image> {
  const seen = new Set<number>();
  const late = () => new CommandError(EXIT.later, 'no_answer', `No answer came within ${seconds} s.`);
  const wait = interruptible(context, seconds, late);
  wait.signal.addEventListener('abort', () => core.close());
  try {
    for await (const text of core.answers) {
      const answer = anyAnswer.safeParse(parse(text));
      if (!answer.success || answer.data.request_id !== id) continue;
      const said = alert.safeParse(answer.data);
      if (said.success) throw new CommandError(EXIT.failed, said.data.code, printable(said.data.message));
      const image = imageIn(answer.data);
      if (image === undefined) {
        const message = `The answer is neither an ImageReady nor an Alert: ${printable(text).slice(0, 200)}`;
        throw new CommandError(EXIT.failed, 'unexpected_answer', message);
      }
      const { index = 0, of = 1 } = image;
      // A server that is met anew may say again what it has said.
      if (seen.has(index)) continue;
      seen.add(index);
      yield image;
      if (seen.size >= of) return;
    }
  } finally {
    wait.done();
  }
  throw wait.signal.reason;
}

function imageIn(answer: unknown): Image | undefined {
  return busImageReady.safeParse(answer).data ?? foreignImage.safeParse(answer).data;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not the answer, whatever it is.
    return undefined;
  }
}

async function bytesOf({ uri, image_data }: Image): Promise<Buffer> {
  if (image_data !== undefined) return Buffer.from(image_data.slice(image_data.indexOf(',') + 1), 'base64');
  const path = uri.replace(/^file:\/\//, '');
  try {
    return await readFile(path);
  } catch (error) {
    const hint = 'is it on a file system that this machine shares, and is [bus] path_map right?';
    throw new CommandError(EXIT.failed, 'output', `${path} cannot be read: ${reasonOf(error)}; ${hint}`, error);
  }
}
