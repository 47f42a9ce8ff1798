// Uses the page with two fingers.
await new Promise((done) => setTimeout(done, 100));
document.querySelectorAll("details").forEach((one) => { one.open = true; });
seen.width = innerWidth;
seen.needed = document.documentElement.scrollWidth;
seen.tooWide = [...document.querySelectorAll("main *")]
  .filter((one) => one.getBoundingClientRect().right > innerWidth && (one.className === "wide" || !one.closest(".wide")))
  .map((one) => `${one.tagName}.${one.className}`)
  .slice(0, 5);
seen.widest = neap.charts.map(({ plot }) => plot.width);
const over = neap.charts[0].plot.over;
const box = over.getBoundingClientRect();
const touch = (type, id, x) => over.dispatchEvent(new PointerEvent(type, { pointerType: "touch", pointerId: id, clientX: box.left + x, clientY: box.top + 20, bubbles: true }));
touch("pointerdown", 1, 60); touch("pointermove", 1, 100);
seen.touched = neap.charts.map(({ plot }) => plot.cursor.idx);
const span = () => neap.charts[1].plot.scales.x.max - neap.charts[1].plot.scales.x.min;
const whole = span();
touch("pointerdown", 2, 140); touch("pointermove", 2, 200);
await new Promise((done) => setTimeout(done, 50));
seen.pinched = span() / whole;
