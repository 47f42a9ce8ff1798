// JSON, maps and buffers outside V8's own heap; deterministic.
let seed = 7;
const next = (n) => ((seed = (seed * 1103515245 + 12345) & 0x7fffffff) >> 8) % n;
let total = 0;
const held = [];
for (let turn = 0; turn < 60; turn++) {
  const rows = [];
  for (let i = 0; i < 1500; i++) {
    rows.push({ id: i, name: 'n' + next(1e6), tags: [next(10), next(10)], text: 'x'.repeat(next(60)) });
  }
  const text = JSON.stringify(rows);
  total += JSON.parse(text).length;
  for (let i = 0; i < 120; i++) {
    const buffer = Buffer.allocUnsafeSlow(1 + next(64 * 1024));
    buffer.fill(i);
    held[next(400)] = buffer;
  }
  total += Buffer.from(text, 'utf8').toString('base64').length;
}
console.log(total, held.reduce((sum, b) => sum + (b ? b.length : 0), 0));
