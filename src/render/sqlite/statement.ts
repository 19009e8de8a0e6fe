import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementResultingChanges } from 'node:sqlite';

/** Named values of a statement. */
export type Values = Readonly<Record<string, SQLInputValue>>;

/** A prepared statement that takes its values by name. */
export interface Statement {
  run(values: Values): StatementResultingChanges;
  get(values: Values): Record<string, SQLOutputValue> | undefined;
  all(values: Values): Record<string, SQLOutputValue>[];
}

/**
 * Prepares a statement in which `$name` stands for a value. They are bound by their places: looking each of them up by
 * its name would cost more than many a statement does. Throws when a value that it names is not given.
 */
export function prepare(database: DatabaseSync, sql: string): Statement {
  const names: string[] = [];
  const byPlace = sql.replace(/\$(\w+)/g, (_, name: string) => {
    if (!names.includes(name)) names.push(name);
    return `?${names.indexOf(name) + 1}`;
  });
  const prepared = database.prepare(byPlace);
  const inPlace = (values: Values) => names.map((name) => given(values, name));
  return {
    run: (values) => prepared.run(...inPlace(values)),
    get: (values) => prepared.get(...inPlace(values)),
    all: (values) => prepared.all(...inPlace(values)),
  };
}

function given(values: Values, name: string): SQLInputValue {
  const value = values[name];
  if (value === undefined) throw new Error(`the statement’s value ${name} is missing`);
  return value;
}
