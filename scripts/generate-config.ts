// Writes config.toml from the schema: `node scripts/generate-config.ts`, after each change of src/config/schema.ts.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderConfigToml } from '../src/config/render-toml.ts';

writeFileSync(join(import.meta.dirname, '..', 'config.toml'), renderConfigToml());
