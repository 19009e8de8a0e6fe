#!/usr/bin/env node
// CommonJS on purpose: it loads without libuv's thread pool, whose size is read once, at its first use.
'use strict';
const { join } = require('node:path');
const { pathToFileURL } = require('node:url');

const wanted = [24, 11];
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < wanted[0] || (major === wanted[0] && minor < wanted[1])) {
  process.stderr.write(
    `image-server needs Node ${wanted.join('.')} or newer; this is ${process.version}. ` +
      'Start it with `npm start`, which uses the Node that `npm ci` installed.\n',
  );
  process.exit(78);
}

// Image encodes and file reads share this pool: with libuv's 4 threads, reads wait behind encodes.
process.env.UV_THREADPOOL_SIZE ??= '16';
// Texts are drawn with the font that ships with the project, whatever fonts the machine has.
process.env.FONTCONFIG_FILE ??= join(__dirname, '..', 'assets', 'fonts', 'fonts.conf');

import(pathToFileURL(join(__dirname, '..', 'src', 'main.ts')).href)
  .then(({ main }) => main(process))
  .catch((error) => {
    process.stderr.write(`image-server could not start: ${error?.stack ?? error}\n`);
    process.exit(1);
  });
