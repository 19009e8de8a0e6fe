import { crc32, deflateSync } from 'node:zlib';

/** A PNG of 8-bit RGB whose pixels `colourAt` names. */
export function png(
  size: { width: number; height: number },
  colourAt: (x: number, y: number) => readonly [number, number, number],
): Buffer {
  const rows = Array.from({ length: size.height }, (_row, y) =>
    Buffer.from([0, ...Array.from({ length: size.width }, (_column, x) => colourAt(x, y)).flat()]),
  );
  const header = Buffer.alloc(13);
  header.writeUInt32BE(size.width, 0);
  header.writeUInt32BE(size.height, 4);
  header.set([8, 2], 8);
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(Buffer.concat(rows))),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** A PNG of one colour. */
export function plainPng(colour: readonly [number, number, number], side = 16): Buffer {
  return png({ width: side, height: side }, () => colour);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const framed = Buffer.alloc(body.length + 8);
  framed.writeUInt32BE(data.length, 0);
  framed.set(body, 4);
  framed.writeUInt32BE(crc32(body), framed.length - 4);
  return framed;
}
