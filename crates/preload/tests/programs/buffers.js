// JSON and Buffers: strings and objects on V8's heap, bytes on malloc's.
const crypto = require('crypto');
const zlib = require('zlib');

let seed = 12345;
const next = () => (seed = (seed * 1103515245 + 12345) & 0x7fffffff);
const rows = [];
for (let i = 0; i < 60000; i++)
  rows.push({ id: i, name: 'row ' + next(), tags: ['a', 'b', String(next())], inner: { x: next() / 7, y: null } });
const text = JSON.stringify(rows);
const hash = (bytes) => crypto.createHash('sha256').update(bytes).digest('hex');
console.log('json', text.length, hash(text));
console.log('same', JSON.stringify(JSON.parse(text)) === text);

let total = 0;
const kept = [];
for (let i = 0; i < 3000; i++) {
  const bytes = Buffer.alloc(1000 + (next() % 60000), i & 255);
  bytes.writeUInt32LE(i, 0);
  total += bytes.length;
  if (i % 10 === 0) kept.push(bytes);
}
console.log('buffers', total, kept.length, hash(Buffer.concat(kept)));
const packed = zlib.gzipSync(text, { level: 6 });
console.log('zlib', hash(zlib.gunzipSync(packed)));
const big = Buffer.alloc(64 << 20, 'neap');
console.log('large', hash(big));
Promise.all(Array.from({ length: 20 }, (_, i) => new Promise((done, fail) =>
  zlib.deflate(big.subarray(i << 20, (i + 1) << 20), (error, out) => (error ? fail(error) : done(out.length))))))
  .then((lengths) => console.log('async', lengths.length, new Set(lengths).size));
