/**
 * A zip archive of the reader's files, without compression: pictures are compressed already. Files are read once for their
 * checksums and stay where they are; the archive is a blob that refers to them, so that it takes no memory. The same files
 * make the same bytes, so that an upload can go on in another visit.
 */

/** @typedef {{path: string, file: File}} NamedFile */

const TABLE = Uint32Array.from({ length: 256 }, (_, start) => {
  let value = start;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value >>> 0;
});

/** 1980-01-01, the first day that the format knows. */
const DAY = 0x21;
/** Names are UTF-8. */
const UTF8 = 0x0800;
const LIMIT = 0xffffffff;

/**
 * @param {Uint8Array} bytes
 * @param {number} [before] The checksum of what came before.
 */
export function crc32(bytes, before = 0) {
  let value = ~before;
  for (let at = 0; at < bytes.length; at += 1) value = TABLE[(value ^ bytes[at]) & 0xff] ^ (value >>> 8);
  return ~value >>> 0;
}

/**
 * @param {NamedFile[]} files
 * @param {{signal?: AbortSignal, progress?: (done: number) => void}} [options]
 * @returns {Promise<Blob>}
 */
export async function zip(files, { signal, progress } = {}) {
  const sorted = [...files].sort((a, b) => (a.path < b.path ? -1 : 1));
  /** @type {BlobPart[]} */
  const parts = [];
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const directory = [];
  let offset = 0;
  for (const [at, { path, file }] of sorted.entries()) {
    signal?.throwIfAborted();
    const name = new TextEncoder().encode(path);
    const sum = await checksum(file);
    const head = record(0x04034b50, [[2, 20], [2, UTF8], [2, 0], [2, 0], [2, DAY], [4, sum], [4, file.size], [4, file.size], [2, name.length], [2, 0]]);
    parts.push(head, name, file);
    // Beyond 4 GiB the offset is in an extra field (zip64).
    const far = offset >= LIMIT;
    const extra = far ? fields([[2, 1], [2, 8], [8, offset]]) : new Uint8Array();
    directory.push(record(0x02014b50, [[2, 45], [2, 20], [2, UTF8], [2, 0], [2, 0], [2, DAY], [4, sum], [4, file.size], [4, file.size],
      [2, name.length], [2, extra.length], [2, 0], [2, 0], [2, 0], [4, 0], [4, far ? LIMIT : offset]]), name, extra);
    offset += head.length + name.length + file.size;
    progress?.(at + 1);
  }
  const length = directory.reduce((sum, part) => sum + part.length, 0);
  return new Blob([...parts, ...directory, ...end(sorted.length, length, offset)], { type: 'application/zip' });
}

/**
 * The end of the archive; in the form of zip64 too where the numbers ask for it.
 * @param {number} count
 * @param {number} length
 * @param {number} offset
 */
function end(count, length, offset) {
  const ends = [];
  if (count >= 0xffff || offset >= LIMIT || length >= LIMIT) {
    ends.push(record(0x06064b50, [[8, 44], [2, 45], [2, 45], [4, 0], [4, 0], [8, count], [8, count], [8, length], [8, offset]]));
    ends.push(record(0x07064b50, [[4, 0], [8, offset + length], [4, 1]]));
  }
  const small = Math.min(count, 0xffff);
  ends.push(record(0x06054b50, [[2, 0], [2, 0], [2, small], [2, small], [4, Math.min(length, LIMIT)], [4, Math.min(offset, LIMIT)], [2, 0]]));
  return ends;
}

/**
 * @param {number} signature
 * @param {[number, number][]} values
 */
function record(signature, values) {
  return fields([[4, signature], ...values]);
}

/**
 * Numbers of so many bytes each, the lowest byte first.
 * @param {[number, number][]} values
 */
function fields(values) {
  const bytes = new Uint8Array(values.reduce((sum, [size]) => sum + size, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [size, value] of values) {
    if (size === 2) view.setUint16(at, value, true);
    if (size === 4) view.setUint32(at, value, true);
    if (size === 8) view.setBigUint64(at, BigInt(value), true);
    at += size;
  }
  return bytes;
}

/** @param {File} file */
async function checksum(file) {
  const piece = 4 << 20;
  let sum = 0;
  for (let at = 0; at < file.size; at += piece) {
    sum = crc32(new Uint8Array(await file.slice(at, at + piece).arrayBuffer()), sum);
  }
  return sum;
}
