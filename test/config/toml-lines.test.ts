import { expect, test } from 'vitest';
import { createLineFinder } from '../../src/config/toml-lines.ts';

const text = `# [http]
note = """
port = 1
"""

[http] # port = 2
hosts = [
  "a",
]
port = 3
[ "bus" ]
a.b = 1
inline = { port = 4 }
`;

test.each([
  [['note'], 2],
  [['http'], 6],
  [['http', 'hosts'], 7],
  [['http', 'port'], 10],
  [['bus'], 11],
  [['bus', 'a', 'b'], 12],
  [['bus', 'inline', 'port'], 13],
  [['port'], undefined],
])('%j stands on line %s', (path, line) => {
  expect(createLineFinder(text)(path)).toBe(line);
  expect(createLineFinder(text.replaceAll('\n', '\r\n'))(path)).toBe(line);
});
