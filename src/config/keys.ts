import { z } from 'zod';
import { configSchema } from './schema.ts';

const shapeSchema = z.object({
  type: z.enum(['string', 'number', 'integer', 'boolean', 'array', 'object']),
  description: z.string().optional(),
  default: z.unknown().optional(),
  examples: z.array(z.unknown()).optional(),
  enum: z.array(z.string()).optional(),
  format: z.string().optional(),
  /** What is expected, in words, where the rest would not say it. */
  expects: z.string().optional(),
  minLength: z.number().optional(),
  minimum: z.number().optional(),
  exclusiveMinimum: z.number().optional(),
  maximum: z.number().optional(),
  get items(): z.ZodOptional<typeof shapeSchema> {
    return z.optional(shapeSchema);
  },
});

/** What a key accepts, as JSON Schema says it. */
export type Shape = z.infer<typeof shapeSchema>;

/** One key of the configuration. */
export interface ConfigKey {
  /** `undefined` at the top level. */
  readonly section: string | undefined;
  readonly name: string;
  /** As in a flag: `http.port`, or `log_level` at the top level. */
  readonly path: string;
  readonly shape: Shape;
}

/** The value that one source gives to one key. */
export interface Setting {
  readonly key: ConfigKey;
  readonly value: unknown;
  /** Whether the source had text only, as the environment and flags have. */
  readonly fromText: boolean;
  /** Where the value stands. Called only for a problem: finding a line in a file takes a while. */
  readonly origin: () => string;
}

const tableSchema = z.object({ properties: z.record(z.string(), z.unknown()) });

function readKeys(): ConfigKey[] {
  const root = tableSchema.parse(z.toJSONSchema(configSchema, { io: 'input' }));
  return Object.entries(root.properties).flatMap(([name, node]): ConfigKey[] => {
    const table = tableSchema.safeParse(node);
    if (!table.success) return [{ section: undefined, name, path: name, shape: shapeSchema.parse(node) }];
    return Object.entries(table.data.properties).map(([inner, shape]) => ({
      section: name,
      name: inner,
      path: `${name}.${inner}`,
      shape: shapeSchema.parse(shape),
    }));
  });
}

/** Every key, in the schema's order; read from the schema, so that there is no second list. */
export const CONFIG_KEYS: readonly ConfigKey[] = readKeys();

/** The names of the sections, in the schema's order. */
export const CONFIG_SECTIONS: readonly string[] = [
  ...new Set(CONFIG_KEYS.flatMap((key) => (key.section === undefined ? [] : [key.section]))),
];

const byPath = new Map(CONFIG_KEYS.map((key) => [key.path, key]));

/** The key of a dotted path. */
export function findKey(path: string): ConfigKey | undefined {
  return byPath.get(path);
}
