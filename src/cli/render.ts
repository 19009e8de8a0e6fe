import type { Command } from 'commander';
import type { Client } from '../client/client.ts';
import type { RenderResource } from '../messages/render.ts';
import type { RenderRequest } from '../messages/render-request.ts';
import { strictRenderRequest, toFieldIssues, withoutNulls } from '../messages/render-request.ts';
import type { ClientCommandContext, ClientCommandOptions } from './client-command.ts';
import { addClientOptions, clientFor } from './client-command.ts';
import { CommandError, EXIT, usageError } from './command-error.ts';
import { inFlags } from './failure.ts';
import type { OutputFile } from './output-file.ts';
import { planOutput } from './output-file.ts';
import { withProgressBar } from './progress-bar.ts';
import type { RenderFlag } from './render-flags.ts';
import { fieldsOf, renderFlags } from './render-flags.ts';
import { printable } from './text.ts';

interface RenderOptions extends ClientCommandOptions {
  readonly output?: string;
  readonly wait?: boolean;
  readonly outputFormat?: string;
}

const HELP = `
Without -o and --wait it prints the id of the accepted render and ends. Several images are saved as FILE with -1, -2, …
before the extension. Ctrl-C while waiting leaves the render to the server.

Exit codes: 0 done, 1 failed or cancelled, 2 wrong input, 69 server not reachable, 75 try again later, 78 wrong
configuration, 130 interrupted.`;

/** Adds `render PROMPT`. */
export function addRenderCommand(program: Command, context: ClientCommandContext): void {
  const flags = renderFlags();
  const command = program
    .command('render')
    .description('Ask for a render; save its images with -o')
    .argument('<prompt>', 'what to draw')
    .option('-o, --output <file>', 'wait and save the image; the extension chooses the format')
    .option('--wait', 'wait and print what became of it');
  for (const { option } of flags) command.addOption(option);
  addClientOptions(command)
    .addHelpText('after', HELP)
    .action((prompt: string) => runRender(prompt, command, flags, context));
}

async function runRender(
  prompt: string,
  command: Command,
  flags: readonly RenderFlag[],
  context: ClientCommandContext,
): Promise<void> {
  const { host } = context;
  const options = command.opts<RenderOptions>();
  const client = clientFor(options, context);
  const output =
    options.output === undefined ? undefined : await planOutput(options.output, host.cwd, options.outputFormat);
  const fields = await fieldsOf(command, flags, host.cwd);
  const request = toRequest({ ...(output === undefined ? {} : { output_format: output.format }), ...fields, prompt });

  const interrupt = new AbortController();
  const { signal } = interrupt;
  let state = 'Interrupted before the server answered; it may have accepted the render.';
  host.onInterrupt(() => interrupt.abort(new CommandError(EXIT.interrupted, 'interrupted', state)));

  const accepted = await client.render(request, { signal });
  if (output === undefined && options.wait !== true) {
    host.stdout.write(options.json === true ? `${JSON.stringify(accepted)}\n` : `${accepted.id}\n`);
    return;
  }
  state = `Interrupted; the render goes on: ${howToGoOn(client, accepted)}.`;
  const ended = await waitFor(client, accepted, signal, options, context);
  state = `Interrupted; the render ${ended.id} has ended, but its images are not all saved.`;
  const files = output === undefined ? [] : await saveImages(client, ended, output, signal);
  const result = output === undefined ? ended : { ...ended, files };
  host.stdout.write(options.json === true ? `${JSON.stringify(result)}\n` : summary(ended, files));
  throwUnlessSucceeded(ended);
}

/** A request of the flags' values. Throws `CommandError` naming the flags that are wrong. */
function toRequest(fields: Readonly<Record<string, unknown>>): RenderRequest {
  const parsed = strictRenderRequest.safeParse(fields);
  if (parsed.success) return withoutNulls(parsed.data);
  throw usageError(inFlags(toFieldIssues(parsed.error.issues)), parsed.error);
}

async function waitFor(
  client: Client,
  render: RenderResource,
  signal: AbortSignal,
  { json }: RenderOptions,
  { host }: ClientCommandContext,
): Promise<RenderResource> {
  if (render.finished_at !== undefined) return render;
  const ended = client.wait(render.id, { signal });
  if (json === true || host.stdout.isTTY !== true || host.stderr.isTTY !== true) return await ended;
  return await withProgressBar({ client, render, stream: host.stderr }, ended);
}

async function saveImages(
  client: Client,
  { images }: RenderResource,
  output: OutputFile,
  signal: AbortSignal,
): Promise<string[]> {
  const files: string[] = [];
  for (const [index, { image_id: imageId }] of images.entries()) {
    const { bytes } = await client.image(imageId, { signal });
    files.push(await output.save(bytes, index, images.length));
  }
  return files;
}

function summary({ images }: RenderResource, files: readonly string[]): string {
  if (files.length > 0) return files.map((file) => `${file}\n`).join('');
  return images
    .map(({ url, width, height, format, seed }) => `${printable(url)}  ${width}x${height} ${format}, seed ${seed}\n`)
    .join('');
}

function throwUnlessSucceeded({ id, status, error }: RenderResource): void {
  if (status === 'succeeded') return;
  const reason = error === undefined ? '' : `: ${printable(error.message).replace(/\.$/, '')}`;
  const what = status === 'cancelled' ? 'was cancelled' : 'failed';
  throw new CommandError(EXIT.failed, error?.code ?? status, `The render ${id} ${what}${reason}.`);
}

function howToGoOn({ server }: Client, { id }: RenderResource): string {
  const address = `${server}/v1/renders/${id}`;
  return `curl ${address} shows it, curl -X POST ${address}/cancel ends it`;
}
