// Writes docs/bus-messages.md from the schemas of the bus: `npm run generate`, after each change of a message.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { renderBusMessages } from './bus-messages.ts';

await writeFile(join(import.meta.dirname, '..', 'docs', 'bus-messages.md'), renderBusMessages());
