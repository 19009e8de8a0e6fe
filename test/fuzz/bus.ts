// npm run test:fuzz [-- --messages 100000] [--seed 1]
// Sends random messages through everything of the bus but its sockets: each must get one answer or one count, whole and
// within its schema, and none may stop the next.
import { parseArgs } from 'node:util';
import { alert, busImageReady } from '../../src/messages/bus.ts';
import { PROJECTS } from '../../src/messages/projects.ts';
import type { LoggedEvent } from '../../src/render/records.ts';
import type { BusCount } from '../../src/transports/bus-door.ts';
import { createBusDoor } from '../../src/transports/bus-door.ts';
import { createBusExits } from '../../src/transports/bus-exits.ts';
import { createBusPaths } from '../../src/transports/bus-paths.ts';
import { CORPUS, randomFrom, randomMessage } from './bus-corpus.ts';

const { values } = parseArgs({
  options: { messages: { type: 'string', default: '100000' }, seed: { type: 'string', default: '1' } },
});
const total = Number(values.messages);
const random = randomFrom(Number(values.seed));

let answers: Buffer[] = [];
let counted: BusCount[] = [];
const outcomes = new Map<string, number>();
const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: fail };
const door = createBusDoor({
  config: { mirror: false, drop_stale: true, image_transport: 'file_uri' },
  rules: PROJECTS.experimance,
  renders: {
    async submit({ request }) {
      return { kind: 'accepted', replay: [imageOf(request)] };
    },
    subscribe: () => () => true,
    supersedeStale: async () => 0,
    readImage: async () => Buffer.of(),
  },
  paths: createBusPaths({ '/images': '/mnt' }),
  exits: createBusExits({
    config: { layout: 'worker', alerts: 'results' },
    put: ({ bytes }) => answers.push(bytes),
    published: undefined,
    log: quiet,
    count: () => {},
  }),
  log: quiet,
  count: (message) => counted.push(message),
});

function imageOf(about: {
  request_id?: string | undefined;
  prompt: string;
  era?: string | undefined;
  biome?: string | undefined;
}): LoggedEvent {
  const { request_id = '', prompt, era = 'modern', biome = 'river' } = about;
  const image = {
    image_id: 'a'.repeat(64),
    url: '',
    width: 8,
    height: 8,
    format: 'jpeg',
    seed: 1,
    generator: 'mock',
  } as const;
  const timings = { queued_ms: 0, render_ms: 0, store_ms: 0 };
  return {
    owner: 'bus',
    door: 'bus',
    event: {
      seq: 1,
      time: new Date(0).toISOString(),
      type: 'ImageReady',
      render_id: 'R',
      request_id,
      prompt,
      era,
      biome,
      uri: 'file:///images/a.jpg',
      ...image,
      index: 0,
      of: 1,
      cached: false,
      timings,
    },
  };
}

function fail(fields: object, message = ''): never {
  process.stderr.write(`${message} ${JSON.stringify(fields)}\n`);
  process.exit(1);
}

/** What a message got: one line for the report. Ends the process when it got nothing, or too much. */
function verdict(frames: readonly Uint8Array[], published: boolean): string {
  const sent = frames.map((frame) => Buffer.from(frame).toString('latin1').slice(0, 300));
  const [count, more] = counted;
  if (count === undefined || more !== undefined) fail({ sent, counted }, 'not counted once:');
  if (answers.length > 1) fail({ sent, answers: answers.map(String) }, 'answered more than once:');
  const [answer] = answers;
  if (answer === undefined) {
    // Answers are not answered; whoever asked us alone always is.
    const silent = published || sent.some((text) => /"(Alert|ImageReady|AudioReady|Heartbeat)"/.test(text));
    if (!silent) fail({ sent, counted }, 'not answered:');
    return `${count.outcome}, counted only`;
  }
  const said: unknown = JSON.parse(String(answer));
  if (!alert.or(busImageReady.strict()).safeParse(said).success) fail({ sent, said }, 'not a message of ours:');
  return count.outcome;
}

const started = performance.now();
for (let at = 0; at < total; at += 1) {
  const frames = CORPUS[at] ?? randomMessage(random, `r${at}`);
  const published = at % 4 === 3;
  answers = [];
  counted = [];
  await door.take(
    frames.map((frame) => Buffer.from(frame)),
    published ? 'published' : 'direct',
  );
  const outcome = verdict(frames, published);
  outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
}
const seconds = (performance.now() - started) / 1000;
for (const [outcome, times] of [...outcomes].sort((a, b) => b[1] - a[1])) {
  process.stdout.write(`${String(times).padStart(8)}  ${outcome}\n`);
}
process.stdout.write(`${total} messages of seed ${values.seed} in ${seconds.toFixed(1)} s: each answered or counted\n`);
