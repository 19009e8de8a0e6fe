import { createImages } from '../../../src/store/convert.ts';
import { startOpenAIServer } from '../../fakes/openai-server.ts';
import { runChild } from '../child.ts';

const side = Number(process.argv[2]);
const images = createImages({ maxPixels: 2 ** 24, maxBytes: 2 ** 26 });

/** Slopes with some noise: a picture that compresses as badly as drawn ones do. */
const data = Buffer.alloc(side * side * 3);
let noise = 1;
for (let at = 0; at < data.length; at += 1) {
  noise = (noise * 1_103_515_245 + 12_345) % 2 ** 31;
  const pixel = Math.floor(at / 3);
  data[at] = (((pixel % side) + Math.floor(pixel / side)) * 127) / side + (noise >> 27);
}
const pixels = { data, width: side, height: side, channels: 3 as const };
const { bytes } = await images.encode({ kind: 'raw', pixels }, { format: 'png', quality: 100 });
const server = await startOpenAIServer({ picture: bytes });

runChild({ url: server.baseUrl, stop: () => server.close() });
