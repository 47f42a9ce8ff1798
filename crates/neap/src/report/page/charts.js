"use strict";
// Curves over one axis of time, drawn by uPlot. Cursor and zoom are common to all of them.
const neap = {
  data: JSON.parse(document.getElementById("data").textContent),
  charts: [],
  size(bytes) {
    const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let [value, unit] = [bytes, 0];
    while (value >= 999.5 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1];
    if (unit === 0) return `${Math.round(value)} B`;
    return `${value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0)} ${units[unit]}`;
  },
  count(number) {
    return String(Math.round(number)).replace(/\B(?=(\d{3})+$)/g, "\u202f");
  },
  time(seconds) {
    if (seconds < 0.0009995) return `${Math.round(seconds * 1e6)} µs`;
    const [value, unit] = seconds < 0.9995 ? [seconds * 1e3, "ms"] : [seconds, "s"];
    if (value < 99.95) return `${value.toFixed(value < 9.995 ? 2 : 1)} ${unit}`;
    if (unit === "ms") return `${value.toFixed(0)} ms`;
    const whole = Math.floor(seconds);
    if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
    return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  },
  // A colour of the style sheet as the canvas wants it.
  colour(name) {
    let found = neap.colours.get(name);
    if (!found) {
      const probe = document.body.appendChild(document.createElement("i"));
      probe.style.color = `var(--${name})`;
      found = getComputedStyle(probe).color;
      probe.remove();
      neap.colours.set(name, found);
    }
    return found;
  },
  colours: new Map(),
};

(() => {
  const { curves } = neap.data;
  if (curves.at_us.length < 2) return;
  const seconds = curves.at_us.map((at) => at / 1e6);
  const [first, last] = [seconds[0], seconds[seconds.length - 1]];
  const forms = {
    bytes: neap.size,
    bytes_per_second: (value) => `${neap.size(value)}/s`,
    per_second: (value) => `${neap.count(value)}/s`,
    count: neap.count,
  };
  const dashes = [[], [6, 3], [2, 3], [9, 3, 2, 3], [12, 4], [4, 4]];
  const powers = Array.from({ length: 60 }, (_, power) => 2 ** power);
  const heights = { sizes: 300, processes: 130 };

  // The axis of time has steps that are whole numbers of its unit.
  const times = (_, values) => {
    const step = values[1] - values[0] || 1;
    const digits = (unit) => Math.min(6, Math.max(0, Math.ceil(-Math.log10(step / unit) - 1e-9)));
    if (last < 1) return values.map((at) => `${(at * 1e3).toFixed(digits(1e-3))} ms`);
    if (last < 600) return values.map((at) => `${at.toFixed(digits(1))} s`);
    return values.map((at) => neap.time(at));
  };

  const zoom = (min, max) => {
    const least = Math.max((last - first) / 1e4, 1e-6);
    const middle = (min + max) / 2;
    const half = Math.max(max - min, least) / 2;
    const from = Math.max(first, Math.min(middle - half, last - 2 * half));
    const to = Math.min(last, Math.max(middle + half, first + 2 * half));
    neap.charts.forEach(({ plot }) => plot.setScale("x", { min: from, max: to }));
  };
  const all = () => zoom(first, last);

  const marks = (plot) => {
    const { ctx, bbox } = plot;
    const ratio = devicePixelRatio;
    ctx.save();
    ctx.font = `${11 * ratio}px system-ui, sans-serif`;
    ctx.fillStyle = ctx.strokeStyle = neap.colour("dim");
    ctx.setLineDash([2 * ratio, 3 * ratio]);
    for (const [index, { at_us: at, name }] of curves.marks.entries()) {
      const { min, max } = plot.scales.x;
      if (at / 1e6 < min || at / 1e6 > max) continue;
      const x = Math.round(plot.valToPos(at / 1e6, "x", true));
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      const right = x > bbox.left + bbox.width / 2;
      ctx.textAlign = right ? "right" : "left";
      ctx.fillText(name, x + (right ? -4 : 4) * ratio, bbox.top + (11 + 13 * index) * ratio);
    }
    ctx.restore();
  };

  const options = (chart, width) => {
    const form = forms[chart.unit];
    const stepped = chart.unit === "bytes" ? undefined : uPlot.paths.stepped({ align: -1 });
    const axis = { stroke: () => neap.colour("dim"), font: "12px system-ui, sans-serif" };
    const grid = { stroke: () => neap.colour("hair"), width: 1 };
    const ticks = { stroke: () => neap.colour("line"), width: 1, size: 5 };
    return {
      width,
      height: heights[chart.id] ?? 170,
      legend: { show: false },
      padding: [8, 12, 0, 0],
      cursor: {
        sync: { key: "time", setSeries: false },
        drag: { x: true, y: false, dist: 4 },
        points: { size: 7 },
      },
      scales: {
        x: { time: false },
        y: { range: (_, __, max) => [0, max > 0 ? max * 1.06 : 1] },
      },
      axes: [
        { ...axis, grid, ticks, values: times, space: 70, size: 30 },
        {
          ...axis, grid, ticks, size: 78, space: 34,
          values: (_, values) => values.map((value) => (value === 0 ? "0" : form(value))),
          ...(chart.unit.startsWith("bytes") ? { incrs: powers } : { incrs: undefined }),
        },
      ],
      series: [
        {},
        ...chart.lines.map((line, index) => ({
          label: line.name,
          stroke: () => neap.colour(line.colour),
          fill: line.name === "RSS" ? () => `color-mix(in srgb, ${neap.colour(line.colour)} 12%, transparent)` : undefined,
          width: 1.6,
          dash: dashes[index % dashes.length],
          spanGaps: true,
          paths: stepped,
          points: { show: (plot) => line.name === "PSS" || plot.data[0].length < 40, size: 4 },
        })),
      ],
      hooks: { draw: [marks], setCursor: [(plot) => plot.root.dispatchEvent(new Event("cursor"))] },
    };
  };

  const legend = (place, chart, plot) => {
    const at = document.createElement("span");
    at.className = "at";
    const outputs = chart.lines.map((line, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-pressed", "true");
      const swatch = document.createElement("i");
      swatch.className = "swatch";
      swatch.style.borderTopColor = `var(--${line.colour})`;
      swatch.style.borderTopStyle = index % dashes.length === 0 ? "solid" : index % 2 ? "dashed" : "dotted";
      const output = document.createElement("output");
      button.append(swatch, line.name, " ", output);
      button.addEventListener("click", () => {
        const show = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", String(show));
        plot.setSeries(index + 1, { show });
      });
      place.append(button);
      return output;
    });
    place.append(at);
    const form = forms[chart.unit];
    return () => {
      const index = plot.cursor.idx;
      const there = index !== null && index !== undefined;
      at.textContent = there ? neap.time(seconds[index]) : "";
      const said = chart.lines.map((line, row) => {
        let value = there ? line.values[index] : Math.max(...line.values.filter((one) => one !== null));
        // What is read seldom keeps its last value.
        for (let before = index; there && value === null && before > 0; before -= 1) value = line.values[before - 1];
        const text = value === null ? "n/a" : form(value);
        outputs[row].textContent = there ? text : `max ${text}`;
        return `${line.name} ${text}`;
      });
      return there ? `${neap.time(seconds[index])}: ${said.join(", ")}` : "";
    };
  };

  const moveTo = (plot, index) => {
    const to = Math.max(0, Math.min(seconds.length - 1, index));
    const { min, max } = plot.scales.x;
    if (seconds[to] < min) zoom(seconds[to], seconds[to] + max - min);
    else if (seconds[to] > max) zoom(seconds[to] - (max - min), seconds[to]);
    // Where the cursor is said in pixels of the plot, after a zoom that is drawn later.
    queueMicrotask(() => plot.setCursor({ left: plot.valToPos(seconds[to], "x"), top: 10 }, true, true));
    return to;
  };

  const keys = (place, plot, say) => {
    place.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const { min, max } = plot.scales.x;
      const at = plot.cursor.idx;
      const centre = at === null || at === undefined ? (min + max) / 2 : seconds[at];
      const step = event.shiftKey ? Math.max(1, Math.round(seconds.length / 20)) : 1;
      const acts = {
        ArrowRight: () => moveTo(plot, at === null || at === undefined ? 0 : at + step),
        ArrowLeft: () => moveTo(plot, at === null || at === undefined ? seconds.length - 1 : at - step),
        Home: () => moveTo(plot, 0),
        End: () => moveTo(plot, seconds.length - 1),
        "+": () => zoom(centre - (max - min) / 4, centre + (max - min) / 4),
        "=": () => zoom(centre - (max - min) / 4, centre + (max - min) / 4),
        "-": () => zoom(centre - (max - min), centre + (max - min)),
        0: all,
        Escape: () => plot.setCursor({ left: -10, top: -10 }, true, true),
      };
      const act = acts[event.key];
      if (!act) return;
      event.preventDefault();
      act();
      setTimeout(say, 0);
    });
  };

  // One finger moves the cursor, two zoom; up and down still scrolls the page.
  const touch = (plot) => {
    const fingers = new Map();
    let start;
    const value = (event) => plot.posToVal(event.clientX - plot.over.getBoundingClientRect().left, "x");
    const spread = () => {
      const [a, b] = [...fingers.values()].map((event) => event.clientX);
      return { middle: (a + b) / 2, distance: Math.max(20, Math.abs(a - b)) };
    };
    plot.over.addEventListener("pointerdown", (event) => {
      if (event.pointerType !== "touch") return;
      fingers.set(event.pointerId, event);
      if (fingers.size === 2) {
        const { min, max } = plot.scales.x;
        start = { ...spread(), min, max };
      }
    });
    plot.over.addEventListener("pointermove", (event) => {
      if (!fingers.has(event.pointerId)) return;
      fingers.set(event.pointerId, event);
      const { left, width } = plot.over.getBoundingClientRect();
      if (fingers.size === 1) {
        plot.setCursor({ left: event.clientX - left, top: 10 }, true, true);
      } else if (start) {
        const now = spread();
        const span = ((start.max - start.min) * start.distance) / now.distance;
        const under = start.min + ((start.middle - left) / width) * (start.max - start.min);
        const from = under - ((now.middle - left) / width) * span;
        zoom(from, from + span);
      }
    });
    for (const end of ["pointerup", "pointercancel", "pointerleave"]) {
      plot.over.addEventListener(end, (event) => {
        fingers.delete(event.pointerId);
        start = undefined;
      });
    }
    return value;
  };

  for (const chart of curves.charts) {
    const figure = document.getElementById(`chart-${chart.id}`);
    figure.hidden = false;
    const place = figure.querySelector(".plot");
    const lines = chart.lines.map((line) => line.values);
    const plot = new uPlot(options(chart, place.clientWidth), [seconds, ...lines], place);
    const read = legend(figure.querySelector(".legend"), chart, plot);
    const live = figure.querySelector("[aria-live]");
    plot.root.addEventListener("cursor", read);
    keys(place, plot, () => {
      live.textContent = read();
    });
    touch(plot);
    read();
    new ResizeObserver(() => {
      if (place.clientWidth > 0 && place.clientWidth !== plot.width) {
        plot.setSize({ width: place.clientWidth, height: plot.height });
      }
    }).observe(place);
    neap.charts.push({ chart, plot });
  }
  document.querySelector(".hint").hidden = false;
  addEventListener("colours", () => {
    neap.colours.clear();
    neap.charts.forEach(({ plot }) => plot.redraw(true, true));
  });
})();
