import { z } from 'zod';
import { alert, busImageReady, heartbeat, spaceTimeUpdate } from '../src/messages/bus.ts';
import type { Coercion } from '../src/messages/fields.ts';
import { renderRequestFields } from '../src/messages/fields.ts';

const HEAD = `# Messages of the bus

Written from the schemas in \`src/messages\` by \`npm run generate\`; a test holds the two equal. What carries the messages is
in \`docs/bus.md\`. Each message is one frame of JSON in UTF-8; where it is published, its type and a space stand before it.
Fields that are not listed are ignored in what comes, and may come: readers of what we send should ignore them too.`;

const REQUEST = `## RenderRequest, from the core

\`type\` is \`"RenderRequest"\`. \`request_id\` and \`prompt\` are required; \`era\` and \`biome\` too where the project has them,
but not in the layout \`pubsub\`, whose time did not ask for them. \`null\` counts as absent. \`request_id\` may be any text
that is not empty, up to 4096 characters, and comes back verbatim. The first versions' \`depth_map_png\` (bare base64) is
read as \`depth_map\`.

Fields marked *own* are Experimance's: a value there that cannot be read is an \`Alert\`. The others are ours: a bad value is
left out, and named in the render's \`ignored\`. So it is with \`era\` and \`biome\` where the project is not \`experimance\`, and
with \`strength\` where it is not \`fire\`: there they are somebody else's.`;

/** How the tolerant schema reads a field, beyond what its schema says. */
const READING: Readonly<Record<Coercion, string>> = {
  none: '',
  text: '`""` counts as absent',
  integer: '`"512"`, `512.0` and `true` are whole numbers',
  side: '`"512"` is 512; too small or too large a value becomes the nearest that can be',
  seed: '`"512"` is 512; taken modulo 2^32',
  number: '`"0.5"` is 0.5',
  fraction: '`"0.5"` is 0.5; below 0 is 0, above 1 is 1',
  boolean: '`"true"`, `"yes"`, `"on"`, `1` and their opposites',
  source:
    '`image_data` (data URL or bare base64) or `uri` (`file://` and the raw path, or the path); both absent: none',
};

const propertySchema = z.object({
  type: z.union([z.string(), z.array(z.string())]).optional(),
  const: z.unknown().optional(),
  enum: z.array(z.string()).optional(),
  anyOf: z.array(z.looseObject({ type: z.string().optional() })).optional(),
  description: z.string().optional(),
});
const objectSchema = z.object({
  description: z.string(),
  properties: z.record(z.string(), propertySchema),
  required: z.array(z.string()),
});
type Property = z.infer<typeof propertySchema>;

/** The text of docs/bus-messages.md. */
export function renderBusMessages(): string {
  const parts = [
    HEAD,
    REQUEST,
    requestTable(),
    ...message('ImageReady, from this server', busImageReady),
    ...message('Alert, from this server', alert),
    ...message('Heartbeat, from this server', heartbeat),
    ...message('SpaceTimeUpdate, from the core', spaceTimeUpdate),
  ];
  return `${parts.join('\n\n')}\n`;
}

function requestTable(): string {
  const rows = Object.entries(renderRequestFields).map(([name, { schema, coercion, experimance }]) => {
    const property = propertySchema.parse(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }));
    const reading = READING[coercion];
    return row([
      `\`${name}\``,
      coercion === 'source' ? 'object' : typeOf(property),
      experimance ? 'own' : '',
      [property.description ?? '', reading].filter((text) => text !== '').join('. '),
    ]);
  });
  return ['| field | type | | meaning, and how it is read |', '|---|---|---|---|', ...rows].join('\n');
}

function message(title: string, schema: z.ZodType): string[] {
  const { description, properties, required } = objectSchema.parse(z.toJSONSchema(schema, { io: 'output' }));
  const rows = Object.entries(properties).map(([name, property]) =>
    row([
      `\`${name}\``,
      property.const === undefined ? typeOf(property) : `\`${JSON.stringify(property.const)}\``,
      required.includes(name) ? 'always' : '',
      property.description ?? '',
    ]),
  );
  const table = ['| field | type | | meaning |', '|---|---|---|---|', ...rows].join('\n');
  return [`## ${title}`, `${description}.`, table];
}

function typeOf({ type, enum: words, anyOf }: Property): string {
  // The codes of errors have a page of their own.
  if (words !== undefined) return words.length > 12 ? 'text' : words.map((word) => `\`${word}\``).join(', ');
  if (anyOf !== undefined) return anyOf.map((one) => worded(one.type ?? 'any')).join(' or ');
  return Array.isArray(type) ? type.map(worded).join(' or ') : worded(type ?? 'any');
}

function worded(type: string): string {
  return { string: 'text', integer: 'whole number', boolean: 'true or false', array: 'list' }[type] ?? type;
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`.replaceAll('|  |', '| |');
}
