import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { renderBusMessages } from '../../scripts/bus-messages.ts';
import { renderRequestFields } from '../../src/messages/fields.ts';

test('docs/bus-messages.md is what the schemas say', async () => {
  const page = await readFile(join(import.meta.dirname, '..', '..', 'docs', 'bus-messages.md'), 'utf8');
  expect(page).toBe(renderBusMessages());
});

test('the page has a row for each field of a request', () => {
  const page = renderBusMessages();
  for (const name of Object.keys(renderRequestFields)) expect(page).toContain(`| \`${name}\` |`);
});
