import { symlink, rm, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'vitest';
import { startApp, temporaryDir } from '../helper.ts';
test('full', async () => {
  const dir = await temporaryDir();
  const first = await startApp({ dir });
  await first.render({ prompt: 'a', width: 64, height: 64 });
  await first.stop();
  console.log(await readdir(join(dir, 'data')));
  await rm(join(dir, 'data', 'journal.db-wal'), { force: true });
  await symlink('/dev/full', join(dir, 'data', 'journal.db-wal'));
  try {
    const app = await startApp({ dir });
    console.log((await app.call('POST', '/v1/renders', { prompt: 'b' })).body);
    console.log((await app.call('GET', '/health/ready')).body);
    await app.stop().catch((e) => console.log('stop', e));
  } catch (e) { console.log('start failed', e); }
});
